import { LogBusyError } from './append-errors.ts'
import type { EventStoreLimits } from './event-store-options.ts'
import type { AppendRequest } from './stager.ts'

/** The requests that wait for their turn, in order, bounded in number and bytes. */
export class AppendQueue {
  readonly #limits: EventStoreLimits
  readonly #requests: AppendRequest[] = []
  #bytes = 0

  constructor(limits: EventStoreLimits) {
    this.#limits = limits
  }

  get length(): number {
    return this.#requests.length
  }

  /** Bytes of those whose content is known already. */
  get bytes(): number {
    return this.#bytes
  }

  /** The one whose turn is next. */
  get first(): AppendRequest | undefined {
    return this.#requests[0]
  }

  /** Those whose turn is next, at most so many. */
  upTo(most: number): readonly AppendRequest[] {
    return this.#requests.slice(0, most)
  }

  /** Takes a request in. Throws {@link LogBusyError} where there is no room. */
  add(request: AppendRequest): void {
    const { queueRequests, queueBytes } = this.#limits
    const bytes = bytesOf(request)
    if (this.#requests.length >= queueRequests || this.#bytes + bytes > queueBytes) {
      throw new LogBusyError(`Cannot append: ${this.#requests.length} requests with ${this.#bytes} bytes wait already`)
    }
    this.#requests.push(request)
    this.#bytes += bytes
  }

  /** Takes the first one out. */
  shift(): void {
    const request = this.#requests.shift()
    if (request !== undefined) this.#bytes -= bytesOf(request)
  }

  /** Puts requests back in front: their turn has come before. */
  putBack(requests: readonly AppendRequest[]): void {
    this.#requests.unshift(...requests)
    for (const request of requests) this.#bytes += bytesOf(request)
  }

  /** Takes a request out; false where it does not wait any more. */
  withdraw(request: AppendRequest): boolean {
    const at = this.#requests.indexOf(request)
    if (at === -1) return false
    this.#requests.splice(at, 1)
    this.#bytes -= bytesOf(request)
    return true
  }

  /** Takes all of them out. */
  clear(): readonly AppendRequest[] {
    this.#bytes = 0
    return this.#requests.splice(0)
  }
}

function bytesOf({ what }: AppendRequest): number {
  return typeof what === 'function' ? 0 : what.bytes + what.blobBytes
}
