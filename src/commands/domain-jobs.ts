import type { Clock } from '../util/clock.ts'
import { Fault } from '../util/fault.ts'

/** Who holds, or waits for, the right to change a domain. */
export interface JobHolder {
  /** Name of the procedure, for example `DOMAIN_BLOCK_COMMIT`. */
  readonly procedure: string
  /** Who asked: program and pid. */
  readonly actor: string
  /** Whose waiting places it takes: those of a user, or of the daemon itself. */
  readonly user: string
  readonly reason: string | null
}

/** A held modify job of one domain; disposing it lets the next waiter in. */
export interface HeldJob extends Disposable {
  readonly holder: JobHolder
  readonly sinceMs: number
}

interface Waiter {
  readonly holder: JobHolder
  readonly admit: (job: HeldJob) => void
}

interface Queue {
  held: HeldJob | null
  readonly waiting: Waiter[]
}

/** Limits of waiting for a domain. */
export interface JobLimits {
  readonly waitMs: number
  /** Of one domain; one user may take half of them. */
  readonly maxWaiting: number
}

/**
 * One change at a time per domain. Invariants: at most one job of a domain is held; everything that waits has a limit
 * and learns who holds; a queue exists only while its domain's job is held; users take turns, so that who asks a thousand
 * times keeps nobody else waiting for more than one of them.
 */
export class DomainJobs {
  readonly #queues = new Map<string, Queue>()
  readonly #clock: Clock
  readonly #limits: JobLimits

  constructor(clock: Clock, limits: JobLimits) {
    this.#clock = clock
    this.#limits = limits
  }

  /** Waits until nobody else changes the domain. Throws a Fault `operation_timeout` that names the holder. */
  async acquire(uuid: string, holder: JobHolder): Promise<HeldJob> {
    const queue = this.#queues.get(uuid)
    if (queue === undefined) {
      const fresh: Queue = { held: null, waiting: [] }
      this.#queues.set(uuid, fresh)
      return this.#hold(uuid, { queue: fresh, holder })
    }
    this.#requireRoom(queue, holder)
    return await this.#wait(queue, holder)
  }

  /** Who changes the domain now; null when nobody does. */
  holderOf(uuid: string): HeldJob | null {
    return this.#queues.get(uuid)?.held ?? null
  }

  #requireRoom({ waiting, held }: Queue, { user }: JobHolder): void {
    const { maxWaiting } = this.#limits
    const same = waiting.filter(({ holder }) => holder.user === user).length
    if (waiting.length < maxWaiting && same < maxWaiting / 2) return
    const whose = waiting.length < maxWaiting ? `${same} others of the same user` : `${waiting.length} others`
    throw new Fault(
      'operation_timeout',
      `cannot acquire state change lock: ${whose} wait already ${heldBy(held, this.#clock)}`,
    )
  }

  #wait(queue: Queue, holder: JobHolder): Promise<HeldJob> {
    const { promise, resolve, reject } = Promise.withResolvers<HeldJob>()
    const waiter: Waiter = { holder, admit: resolve }
    const timer = setTimeout(() => {
      const at = queue.waiting.indexOf(waiter)
      if (at === -1) return
      queue.waiting.splice(at, 1)
      reject(new Fault('operation_timeout', `cannot acquire state change lock ${heldBy(queue.held, this.#clock)}`))
    }, this.#limits.waitMs)
    queue.waiting.push(waiter)
    return promise.finally(() => clearTimeout(timer))
  }

  #hold(uuid: string, next: { readonly queue: Queue; readonly holder: JobHolder }): HeldJob {
    let open = true
    const job: HeldJob = {
      holder: next.holder,
      sinceMs: this.#clock.monotonicMs(),
      [Symbol.dispose]: () => {
        if (!open) return
        open = false
        this.#release(uuid, next.queue)
      },
    }
    next.queue.held = job
    return job
  }

  #release(uuid: string, queue: Queue): void {
    const last = queue.held?.holder.user
    const at = queue.waiting.findIndex(({ holder }) => holder.user !== last)
    const [waiter] = queue.waiting.splice(Math.max(0, at), 1)
    if (waiter === undefined) this.#queues.delete(uuid)
    else waiter.admit(this.#hold(uuid, { queue, holder: waiter.holder }))
  }
}

function heldBy(job: HeldJob | null, clock: Clock): string {
  if (job === null) return ''
  const { procedure, actor, reason } = job.holder
  const seconds = Math.round((clock.monotonicMs() - job.sinceMs) / 1000)
  return `(held by ${procedure} of ${actor} for ${seconds} s${reason === null ? '' : `, reason: ${reason}`})`
}
