import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { MetricsSnapshot } from './metrics-source.ts'
import { MetricsRegistry } from './metrics-registry.ts'

const mostConnections = 16
const mostHeaderBytes = 8_192
const mostHeaders = 50
const requestMs = 5_000
const idleMs = 10_000
const checkMs = 1_000

/** What the server tells of. */
export interface MetricsServerOptions {
  readonly read: () => Promise<MetricsSnapshot>
  /** Hears why a text could not be made. */
  readonly onProblem: (error: unknown) => void
}

/** Answers `GET /metrics`, and nothing else, on a server that the caller makes listen on a place that only this machine reaches. */
export class MetricsServer implements AsyncDisposable {
  readonly http: Server
  readonly #registry: MetricsRegistry
  readonly #onProblem: (error: unknown) => void

  constructor({ read, onProblem }: MetricsServerOptions) {
    this.#registry = new MetricsRegistry(read)
    this.#onProblem = onProblem
    this.http = createServer(
      {
        maxHeaderSize: mostHeaderBytes,
        headersTimeout: requestMs,
        requestTimeout: requestMs,
        keepAliveTimeout: idleMs,
        connectionsCheckingInterval: checkMs,
      },
      (request, response) => void this.#answer(request, response),
    )
    this.http.maxConnections = mostConnections
    this.http.maxHeadersCount = mostHeaders
    // Nothing that a client sends may end the daemon, or keep a socket.
    this.http.on('clientError', (_error, socket) => socket.destroy())
    this.http.on('upgrade', (_request, socket) => void socket.destroy())
    this.http.on('connect', (_request, socket) => void socket.destroy())
  }

  async close(): Promise<void> {
    this.http.closeAllConnections()
    await new Promise<void>((resolve) => this.http.close(() => resolve()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const refusal = refusalOf(request)
      if (refusal !== null) {
        const [status, text] = refusal
        response.writeHead(status, { ...plain, connection: 'close', ...(status === 405 ? { allow: 'GET' } : {}) })
        response.end(`${text}\n`)
        return
      }
      const text = await this.#registry.print()
      response.writeHead(200, { 'content-type': this.#registry.contentType, 'cache-control': 'no-store' })
      response.end(text)
    } catch (error) {
      this.#onProblem(error)
      response.writeHead(503, { ...plain, connection: 'close' })
      response.end('The metrics cannot be read\n')
    }
  }
}

const plain = { 'content-type': 'text/plain; charset=utf-8' }

function refusalOf(request: IncomingMessage): readonly [status: number, text: string] | null {
  const { method, url = '', headers, socket } = request
  // A page in a browser on this machine could reach the port by a name of its own: that name is in the header.
  if (socket.remoteAddress !== undefined && !/^(localhost|127\.0\.0\.1|\[::1\])?(:\d+)?$/.test(headers.host ?? ''))
    return [403, 'Not this host']
  if (url.replace(/\?.*$/s, '') !== '/metrics') return [404, 'There is only /metrics']
  if (method !== 'GET') return [405, 'There is only GET']
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0)
    return [413, 'A request has no body']
  return null
}
