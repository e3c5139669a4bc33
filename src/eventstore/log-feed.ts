import { chmodSync, chownSync, lstatSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { CommitListener } from './event-store-options.ts'
import { encodeFeedFrame, type FeedHead, feedGreeting } from './feed-frame.ts'
import type { LogHead } from './recorded-event.ts'

/** Where the feed is served and of which log. */
export interface LogFeedOptions {
  readonly path: string
  /** Permissions of the socket. */
  readonly mode: number
  readonly gid?: number
  readonly log: { readonly head: LogHead; afterCommit(listener: CommitListener): () => void }
}

const mostReaders = 64
/** Frames that wait for one reader: after so many bytes it hears only of the newest head. */
const waitingBytes = 1_024
const stuckMs = 30_000
/** `sun_path` holds 108 bytes, the last one a NUL. */
const mostPathBytes = 107

/**
 * Tells readers in other processes of each commit, on a UNIX socket: `cvfeed1\n`, then frames of 24 bytes. It is a hint when to look at the
 * table: who is slow hears less, who is stuck is let go, and nobody loses anything by it.
 */
export class LogFeed implements AsyncDisposable {
  readonly #server: Server
  readonly #readers = new Set<FeedReader>()
  readonly #leave: () => void
  #head: FeedHead

  private constructor({ log }: LogFeedOptions) {
    this.#head = log.head
    this.#server = createServer({ highWaterMark: waitingBytes }, (socket) => this.#accept(socket))
    this.#leave = log.afterCommit(({ commitNo, recordedAtUs, events }) => {
      const position = events.at(-1)?.position ?? this.#head.position
      this.#tell({ commitNo, recordedAtUs, position })
    })
  }

  /** Starts to listen. Throws, naming the path, where another process has it or it cannot be. */
  static async serve(options: LogFeedOptions): Promise<LogFeed> {
    const feed = new LogFeed(options)
    try {
      await feed.#listen(options)
      return feed
    } catch (error) {
      feed.#leave()
      const why = error instanceof Error ? error.message : String(error)
      throw new Error(`Cannot serve the feed of the log on ${options.path}: ${why}`, { cause: error })
    }
  }

  /** How many listen. */
  get readers(): number {
    return this.#readers.size
  }

  async close(): Promise<void> {
    this.#leave()
    for (const reader of this.#readers) reader.drop()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #listen({ path, mode, gid }: LogFeedOptions): Promise<void> {
    if (Buffer.byteLength(path) > mostPathBytes) throw new Error(`its name has more than ${mostPathBytes} bytes`)
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found !== undefined && !found.isSocket()) throw new Error('it exists and is not a socket')
    if (found !== undefined && (await isAnswered(path))) throw new Error('another process answers there')
    rmSync(path, { force: true })
    // Nobody may connect before the permissions are set.
    const umask = process.umask(0o177)
    const listening = new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen({ path }, resolve)
    })
    process.umask(umask)
    await listening
    this.#server.on('error', () => undefined) // a connection that could not be accepted: its reader polls
    if (gid !== undefined) chownSync(path, process.geteuid?.() ?? 0, gid)
    chmodSync(path, mode)
  }

  #accept(socket: Socket): void {
    if (this.#readers.size >= mostReaders) {
      socket.destroy()
      return
    }
    const reader: FeedReader = new FeedReader(socket, () => this.#readers.delete(reader))
    this.#readers.add(reader)
    reader.tell(Buffer.concat([feedGreeting, encodeFeedFrame(this.#head)]))
  }

  #tell(head: FeedHead): void {
    this.#head = head
    if (this.#readers.size === 0) return
    const frame = encodeFeedFrame(head)
    for (const reader of this.#readers) reader.tell(frame)
  }
}

/** One connection: at most a few frames wait for it, then only the newest. */
class FeedReader {
  readonly #socket: Socket
  #newest: Buffer | null = null
  #fullSinceMs: number | null = null

  constructor(socket: Socket, closed: () => void) {
    this.#socket = socket
    socket.on('error', () => socket.destroy())
    socket.on('close', closed)
    socket.on('data', () => socket.destroy()) // nothing is to be said here
    socket.on('drain', () => {
      this.#fullSinceMs = null
      const newest = this.#newest
      this.#newest = null
      if (newest !== null) this.tell(newest)
    })
  }

  tell(frame: Buffer): void {
    if (this.#fullSinceMs === null) {
      if (!this.#socket.write(frame)) this.#fullSinceMs = performance.now()
    } else {
      this.#newest = frame
      if (performance.now() - this.#fullSinceMs > stuckMs) this.drop()
    }
  }

  drop(): void {
    this.#socket.destroy()
  }
}

async function isAnswered(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(true)
    })
    probe.once('error', () => resolve(false))
  })
}
