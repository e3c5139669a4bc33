import { newFact } from '../events/catalogue.ts'
import { refusalStream } from '../events/stream-names.ts'
import type { Fault } from '../util/fault.ts'
import type { Host } from './host.ts'
import { type Context, record } from './record.ts'

/** Refusals of one actor that are recorded one by one within a second; the rest of that second becomes one counted event. */
const maxPerSecond = 10

interface Bucket {
  second: number
  recorded: number
  suppressed: number
  last: { readonly context: Context; readonly fault: Fault; readonly subject: string | null } | null
}

/** Records commands that were understood and refused, bounded per user so that nobody can fill the disk by asking for the impossible. */
export class Refusals {
  readonly #host: Pick<Host, 'log' | 'hostId' | 'clock' | 'notes'>
  readonly #buckets = new Map<number, Bucket>()

  constructor(host: Pick<Host, 'log' | 'hostId' | 'clock' | 'notes'>) {
    this.#host = host
  }

  /** Notes a refusal. Resolves when it is recorded, or counted; a log that is away loses it, which changes nothing for the caller. */
  async note(context: Context, fault: Fault, subject: string | null): Promise<void> {
    const second = Math.floor(this.#host.clock.monotonicMs() / 1000)
    const uid = context.caller.actor.uid
    const bucket = this.#buckets.get(uid) ?? { second, recorded: 0, suppressed: 0, last: null }
    this.#buckets.set(uid, bucket)
    // Counted before anything is waited for: a thousand refusals of one moment all come this way at once.
    const before = bucket.second === second ? null : this.#flush(bucket)
    if (before !== null) {
      bucket.second = second
      bucket.recorded = 0
    }
    const isOneOfFew = bucket.recorded < maxPerSecond
    if (isOneOfFew) bucket.recorded++
    else {
      bucket.suppressed++
      bucket.last = { context, fault, subject }
    }
    await before
    if (isOneOfFew) await this.#record(context, { fault, subject, count: 1 })
  }

  /** Records what was only counted so far. */
  async flush(): Promise<void> {
    for (const [uid, bucket] of this.#buckets) {
      await this.#flush(bucket)
      // More may have been counted while this was being recorded.
      if (bucket.last === null) this.#buckets.delete(uid)
    }
  }

  async #flush(bucket: Bucket): Promise<void> {
    const { last, suppressed } = bucket
    bucket.suppressed = 0
    bucket.last = null
    if (last !== null) await this.#record(last.context, { fault: last.fault, subject: last.subject, count: suppressed })
  }

  async #record(
    context: Context,
    refusal: { readonly fault: Fault; readonly subject: string | null; readonly count: number },
  ): Promise<void> {
    const { fault, subject, count } = refusal
    const data = {
      procedure: context.caller.procedure,
      rule: fault.kind,
      message: fault.message.slice(0, 4096),
      subject,
      count,
    }
    try {
      await record(this.#host, context, {
        kind: 'fact',
        decide: () => [{ stream: refusalStream(context.caller.actor.uid), facts: [newFact('CommandRefused', data)] }],
      })
    } catch (error) {
      this.#host.notes.warn({ err: error, procedure: data.procedure }, 'A refusal could not be recorded')
    }
  }
}
