/** Calls of one user that may begin in one turn of the event loop: a few milliseconds of work. */
const callsOfUser = 64
/** Those of one connection among them. */
const callsOfConnection = 16

interface User {
  left: number
  /** Calls that each connection has begun in this turn, by what resumes it. */
  readonly begun: Map<() => void, number>
  /** Connections that have begun none of their calls in this turn; they come first in the next one. */
  unheard: Set<() => void>
  /** Connections with more calls than their part. */
  readonly heard: Set<() => void>
}

/**
 * Shares the event loop between users, and a user's part between connections. A client may send as many calls as it likes
 * without waiting; what begins before others are heard is bounded, the rest begins in later turns.
 */
export class CallTurns {
  #users = new Map<number, User>()
  #isPlanned = false

  /** Whether a call of a user's connection may begin now. Where not, `resume` is called in a later turn, once. */
  take(uid: number, resume: () => void): boolean {
    const user = this.#userOf(uid)
    this.#plan()
    const begun = user.begun.get(resume) ?? 0
    if (user.left === 0 || begun >= callsOfConnection) {
      const waiting = begun === 0 ? user.unheard : user.heard
      waiting.add(resume)
      return false
    }
    user.left--
    user.begun.set(resume, begun + 1)
    return true
  }

  #userOf(uid: number): User {
    const known = this.#users.get(uid)
    if (known !== undefined) return known
    const user: User = { left: callsOfUser, begun: new Map(), unheard: new Set(), heard: new Set() }
    this.#users.set(uid, user)
    return user
  }

  #plan(): void {
    if (this.#isPlanned) return
    this.#isPlanned = true
    setImmediate(() => this.#nextTurn())
  }

  #nextTurn(): void {
    this.#isPlanned = false
    const last = this.#users
    this.#users = new Map()
    for (const [uid, { unheard, heard }] of last) this.#resume(uid, [...unheard, ...heard])
  }

  #resume(uid: number, waiting: readonly (() => void)[]): void {
    const user = this.#userOf(uid)
    const at = waiting.findIndex((resume) => {
      if (user.left > 0) resume()
      return user.left === 0
    })
    if (at === -1) return
    // Nothing is left for them, so they are not even asked, and keep their order.
    user.unheard = new Set([...user.unheard, ...waiting.slice(at + 1)])
    this.#plan()
  }
}
