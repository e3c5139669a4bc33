import { createConnection, createServer, type Server, type Socket } from 'node:net'

/** Where to cut a conversation: after so many bytes in one direction, counted from the moment it is armed. */
export interface Cut {
  readonly direction: 'toServer' | 'toClient'
  readonly afterBytes: number
}

/**
 * A proxy in front of a PostgreSQL socket that breaks the writer's connection at a given byte, refuses connections for a while, or holds
 * bytes back. Connections of others pass untouched.
 */
export class CutProxy implements AsyncDisposable {
  readonly #server: Server
  readonly #target: string
  readonly #pairs = new Set<{ readonly client: Socket; readonly server: Socket; isWriter: boolean }>()
  #cut: { direction: Cut['direction']; left: number; refuseAfter: boolean } | null = null
  #refusing = false
  #cutHappened = 0
  #toServerBytes = 0
  #toClientBytes = 0

  private constructor(server: Server, target: string) {
    this.#server = server
    this.#target = target
    server.on('connection', (client) => this.#accept(client))
  }

  /** Listens on a loopback port; `target` is the path of the server's socket. */
  static async start(target: string): Promise<CutProxy> {
    const server = createServer()
    const proxy = new CutProxy(server, target)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('The proxy does not listen')
    return address.port
  }

  get cutsMade(): number {
    return this.#cutHappened
  }

  /** Bytes of the writer's conversation in both directions since the start of counting. */
  count(): { readonly toServer: number; readonly toClient: number } {
    const counted = { toServer: this.#toServerBytes, toClient: this.#toClientBytes }
    this.#toServerBytes = 0
    this.#toClientBytes = 0
    return counted
  }

  /** Breaks the writer's connection after so many more bytes; with `refuseAfter` nobody can connect until {@link allow}. */
  arm(cut: Cut, { refuseAfter = false } = {}): void {
    this.#cut = { direction: cut.direction, left: cut.afterBytes, refuseAfter }
  }

  /** Refuses new connections, and breaks those there are. */
  refuse(): void {
    this.#refusing = true
    for (const pair of this.#pairs) {
      pair.client.destroy()
      pair.server.destroy()
    }
  }

  allow(): void {
    this.#refusing = false
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.refuse()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.destroy()
      return
    }
    const server = createConnection(this.#target)
    const pair = { client, server, isWriter: false }
    this.#pairs.add(pair)
    const end = () => {
      this.#pairs.delete(pair)
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) socket.on('error', end).on('close', end)
    client.on('data', (bytes) => {
      if (bytes.includes('chronovisor writer')) pair.isWriter = true
      if (pair.isWriter) this.#toServerBytes += bytes.length
      this.#pass(bytes, { pair, direction: 'toServer', to: server, end })
    })
    server.on('data', (bytes) => {
      if (pair.isWriter) this.#toClientBytes += bytes.length
      this.#pass(bytes, { pair, direction: 'toClient', to: client, end })
    })
  }

  #pass(
    bytes: Buffer,
    {
      pair,
      direction,
      to,
      end,
    }: { pair: { isWriter: boolean }; direction: Cut['direction']; to: Socket; end: () => void },
  ): void {
    const cut = this.#cut
    if (cut === null || !pair.isWriter || cut.direction !== direction) {
      to.write(bytes)
      return
    }
    if (bytes.length <= cut.left && !(direction === 'toClient' && cut.left === 0)) {
      cut.left -= bytes.length
      to.write(bytes)
      return
    }
    this.#cut = null
    this.#cutHappened += 1
    if (cut.refuseAfter) this.#refusing = true
    // The part before the cut arrives, then the line is dead.
    to.write(bytes.subarray(0, cut.left), () => end())
  }
}
