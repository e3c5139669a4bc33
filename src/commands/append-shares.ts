import type { Actor } from '../events/metadata.ts'
import { LogBusyError } from '../eventstore/append-errors.ts'

/** Bounds of one user. */
export interface ShareLimits {
  /** Requests that may be in the log's queue at once. */
  readonly maxQueued: number
  /** Requests that may wait for a place there. */
  readonly maxWaiting: number
}

/** Defaults: a fortieth of the log's queue; a batch takes four users' shares. */
export const defaultShareLimits: ShareLimits = { maxQueued: 250, maxWaiting: 20_000 }

interface Share {
  queued: number
  readonly waiting: (() => void)[]
}

/**
 * Each user's share of the log's queue, so that a flood of one, refused or not, leaves room for the others. Requests of one
 * user keep their order. The daemon itself is not limited.
 */
export class AppendShares {
  readonly #shares = new Map<number, Share>()
  readonly #limits: ShareLimits

  constructor(limits: ShareLimits = defaultShareLimits) {
    this.#limits = limits
  }

  /** Appends when the user has room in the queue. Throws LogBusyError where too many wait already, and what `append` throws. */
  async run<Result>(actor: Actor, append: () => Promise<Result>): Promise<Result> {
    if (actor.authentication === 'self') return await append()
    const share = this.#shares.get(actor.uid) ?? { queued: 0, waiting: [] }
    this.#shares.set(actor.uid, share)
    if (share.queued < this.#limits.maxQueued) share.queued++
    else await this.#turn(share, actor.uid)
    try {
      return await append()
    } finally {
      this.#leave(share, actor.uid)
    }
  }

  async #turn(share: Share, uid: number): Promise<void> {
    if (share.waiting.length >= this.#limits.maxWaiting) {
      throw new LogBusyError(`Cannot append: ${share.waiting.length} requests of uid ${uid} wait already`)
    }
    await new Promise<void>((resolve) => share.waiting.push(resolve))
  }

  /** The place goes to who waits first, or is given up. */
  #leave(share: Share, uid: number): void {
    const next = share.waiting.shift()
    if (next !== undefined) return next()
    share.queued--
    if (share.queued === 0) this.#shares.delete(uid)
  }
}
