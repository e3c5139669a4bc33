import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { LogCorruptError } from './append-errors.ts'
import { type Checkpoint, openCheckpoint } from './checkpoint.ts'
import type { EventStore } from './event-store.ts'
import type { NoteSigner } from './signed-note.ts'

/** When checkpoints are signed beside start and end, and where the newest one is kept outside the database. */
export interface CheckpointKeeperOptions {
  readonly store: Pick<EventStore, 'head' | 'signCheckpoint' | 'afterCommit' | 'rootAt'>
  readonly signer: NoteSigner
  /** File with the newest checkpoint: shows that a database was exchanged for an older one. */
  readonly anchorPath: string
  readonly everyEvents: number
  readonly everyMs: number
  /** Hears why nothing is signed. */
  readonly onProblem: (error: Error) => void
}

/**
 * Signs checkpoints: at once, after so many events, after so much time if there were any, and at the end. The newest one is kept in a file
 * beside the database, too. A database that does not continue what that file says is not signed any more: somebody put an older one there.
 */
export class CheckpointKeeper implements AsyncDisposable {
  readonly #options: CheckpointKeeperOptions
  readonly #timer: NodeJS.Timeout
  readonly #unfollow: () => void
  #signedSize = -1n
  #turn: Promise<string | null> = Promise.resolve(null)
  #isWanted = false

  private constructor(options: CheckpointKeeperOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#signSoon(), options.everyMs)
    this.#timer.unref()
    this.#unfollow = options.store.afterCommit(() => {
      if (options.store.head.position + 1n - this.#signedSize >= BigInt(options.everyEvents)) this.#signSoon()
    })
  }

  /** Signs the head, and goes on doing so. What stands in the way is told to `onProblem`. */
  static async start(options: CheckpointKeeperOptions): Promise<CheckpointKeeper> {
    const keeper = CheckpointKeeper.begin(options)
    await keeper.#turn
    return keeper
  }

  /** The same for who does not wait until the head is signed. */
  static begin(options: CheckpointKeeperOptions): CheckpointKeeper {
    const keeper = new CheckpointKeeper(options)
    keeper.#signSoon()
    return keeper
  }

  /** The public key that verifies what is signed. */
  get verifierKey(): string {
    return this.#options.signer.verifier.key
  }

  /** Signs the head and returns the note. Throws where that must not be done. */
  async sign(): Promise<string> {
    const note = await this.#options.store.signCheckpoint(await this.#checkedSigner())
    const { size } = openCheckpoint(note, [this.#options.signer.verifier])
    if (size < this.#signedSize) return note
    this.#signedSize = size
    const { anchorPath } = this.#options
    writeFileSync(`${anchorPath}.new`, note, { mode: 0o644, flush: true })
    renameSync(`${anchorPath}.new`, anchorPath)
    return note
  }

  /** Signs a last time. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    this.#unfollow()
    this.#signSoon()
    await this.#turn
  }

  #signSoon(): void {
    if (this.#isWanted || this.#options.store.head.position + 1n === this.#signedSize) return
    this.#isWanted = true
    this.#turn = this.#turn
      .then(async () => {
        this.#isWanted = false
        return await this.sign()
      })
      .catch((error: unknown) => {
        this.#options.onProblem(error instanceof Error ? error : new Error(String(error)))
        return null
      })
  }

  async #checkedSigner(): Promise<NoteSigner> {
    const { signer, anchorPath, store } = this.#options
    if (this.#signedSize >= 0n || !existsSync(anchorPath)) return signer
    const anchor = this.#readAnchor()
    const where = `"${anchorPath}" has a checkpoint over ${anchor.size} events`
    const how = 'if it was put back on purpose, remove that file'
    const events = store.head.position + 1n
    if (anchor.size > events) {
      throw new LogCorruptError(
        `Cannot sign the log: ${where}, the database has ${events}: an older database was put in its place; ${how}`,
      )
    }
    const root = await store.rootAt(anchor.size)
    if (root !== null && Buffer.compare(root, anchor.root) === 0) return signer
    throw new LogCorruptError(`Cannot sign the log: ${where} that are not those of the database; ${how}`)
  }

  #readAnchor(): Checkpoint {
    const { anchorPath, signer } = this.#options
    try {
      return openCheckpoint(readFileSync(anchorPath, 'utf8'), [signer.verifier])
    } catch (error) {
      throw new LogCorruptError(`Cannot sign the log: "${anchorPath}" is not a checkpoint of this log`, {
        cause: error,
      })
    }
  }
}
