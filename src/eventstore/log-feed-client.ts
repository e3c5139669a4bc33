import { connect, type Socket } from 'node:net'
import { feedFrameBytes, feedGreeting } from './feed-frame.ts'
import type { HeadHints } from './log-tail.ts'

const firstRetryMs = 100
const longestRetryMs = 5_000

/** Listens to the feed of the log's writer; where it breaks, tries again for ever, while its user polls. */
export class LogFeedClient implements HeadHints {
  readonly #path: string
  #onHint: () => void = () => undefined
  #socket: Socket | null = null
  #timer: NodeJS.Timeout | undefined
  #retryMs = firstRetryMs
  #areComing = false

  constructor(path: string) {
    this.#path = path
  }

  get areComing(): boolean {
    return this.#areComing
  }

  start(onHint: () => void): void {
    this.#onHint = onHint
    this.#retryMs = firstRetryMs
    this.#connect()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#onHint = () => undefined
    this.#areComing = false
    const socket = this.#socket
    this.#socket = null
    socket?.destroy()
  }

  #connect(): void {
    const socket = connect(this.#path)
    let received = 0
    let greeting = Buffer.alloc(0)
    this.#socket = socket
    socket.on('data', (chunk) => {
      if (received < feedGreeting.length) {
        greeting = Buffer.concat([greeting, chunk.subarray(0, feedGreeting.length - received)])
        if (!feedGreeting.subarray(0, greeting.length).equals(greeting)) return socket.destroy()
      }
      const frames = framesIn(received)
      received += chunk.length
      if (framesIn(received) === frames) return undefined
      this.#areComing = true
      this.#retryMs = firstRetryMs
      return this.#onHint()
    })
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      if (this.#socket !== socket) return
      this.#areComing = false
      this.#timer = setTimeout(() => this.#connect(), this.#retryMs)
      this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs)
      this.#onHint() // whoever relies on hints has to look at the table again
    })
  }
}

/** Whole frames in the first bytes of a connection. What they say is not used: the table knows it better. */
function framesIn(bytes: number): number {
  return Math.floor(Math.max(0, bytes - feedGreeting.length) / feedFrameBytes)
}
