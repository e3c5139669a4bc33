import { status } from '@grpc/grpc-js'
import { CommitInDoubtError, WrongExpectedRevisionError } from '../eventstore/append-errors.ts'
import { successOf } from './append-call.ts'
import { AppendCollector, appendEvents, checkMayAppend } from './append-events.ts'
import { type BatchPart, readBatchPart } from './append-request.ts'
import { CallRefusedError } from './call-refused-error.ts'
import type { Send } from './call-runner.ts'
import type { CallContext } from './call-services.ts'
import { codeOf } from './error-status.ts'
import { expectedRevisionFields } from './expected-revision-fields.ts'
import { MalformedMessageError, messageEncoder } from './message-codec.ts'
import type { MessageName } from './message-table.ts'
import { wireStream, wireUuid } from './wire-values.ts'

const encode = messageEncoder('event_store.client.streams.BatchAppendResp')

/** An append whose last part has not come yet. One that was refused takes nothing more and is answered with its last part. */
interface PartialAppend {
  readonly target: NonNullable<BatchPart['target']>
  readonly collector: AppendCollector
  refusal: Error | null
}

/** The deadline of an append has passed before its turn came: nothing was appended. */
class LateAppendError extends Error {}

/**
 * `BatchAppend`: many appends through one call, each in parts under its correlation id, answered as they are done. What concerns one append
 * is its answer; what concerns all (the log is away, nonsense was sent) ends the call.
 */
export async function batchAppend(
  messages: AsyncIterable<Uint8Array>,
  context: CallContext,
  send: Send,
): Promise<void> {
  await new BatchAppendCall(context, send).run(messages)
}

class BatchAppendCall {
  readonly #context: CallContext
  readonly #send: Send
  readonly #partial = new Map<string, PartialAppend>()
  readonly #unanswered = new Set<Promise<void>>()
  readonly #failed = Promise.withResolvers<never>()
  #hasFailed = false

  constructor(context: CallContext, send: Send) {
    this.#context = context
    this.#send = send
  }

  async run(messages: AsyncIterable<Uint8Array>): Promise<void> {
    await Promise.race([this.#takeAll(messages), this.#failed.promise])
  }

  async #takeAll(messages: AsyncIterable<Uint8Array>): Promise<void> {
    const { clock, limits } = this.#context.services
    for await (const bytes of messages) {
      this.#take(readBatchPart(bytes, Number(clock.nowUs() / 1000n)))
      while (this.#unanswered.size >= limits.unansweredAppends) await Promise.race(this.#unanswered)
    }
    await Promise.all(this.#unanswered)
  }

  #take(part: BatchPart): void {
    if (this.#hasFailed) return
    const append = this.#partOf(part)
    try {
      if (part.target !== null) checkMayAppend(part.target.stream, this.#context)
      if (append.refusal === null) for (const event of part.events) append.collector.add(event)
    } catch (error) {
      append.collector.events.length = 0
      append.refusal = error instanceof Error ? error : new Error(String(error))
    }
    if (!part.isFinal) return
    this.#partial.delete(part.correlationId)
    const answered = this.#answer(part.correlationId, append)
      .catch((error: unknown) => this.#fail(error))
      .finally(() => this.#unanswered.delete(answered))
    this.#unanswered.add(answered)
  }

  #partOf({ correlationId, target }: BatchPart): PartialAppend {
    const known = this.#partial.get(correlationId)
    if (known !== undefined) return known
    if (target === null)
      throw new MalformedMessageError(`Cannot append: "${correlationId}" begins without naming a stream`)
    const { limits } = this.#context.services
    if (this.#partial.size >= limits.partialAppends) {
      const message = `Cannot append: ${limits.partialAppends} appends of this call are unfinished already`
      throw new CallRefusedError(status.RESOURCE_EXHAUSTED, message)
    }
    const append = { target, collector: new AppendCollector(limits), refusal: null }
    this.#partial.set(correlationId, append)
    return append
  }

  #fail(error: unknown): void {
    this.#hasFailed = true
    this.#failed.reject(error)
  }

  async #answer(correlationId: string, append: PartialAppend): Promise<void> {
    const { stream, deadlineMs } = append.target
    const about = { correlationId: wireUuid(correlationId), streamIdentifier: wireStream(stream) }
    const late = new AbortController()
    const abort = () => late.abort(new LateAppendError(`Cannot append to stream "${stream}": the deadline has passed`))
    const timer = deadlineMs === null ? undefined : setTimeout(abort, Math.min(Math.max(deadlineMs, 0), longestTimerMs))
    try {
      if (append.refusal !== null) throw append.refusal
      const options = { context: this.#context, signal: late.signal }
      const appended = await appendEvents(append.target, append.collector.events, options)
      await this.#send(encode({ ...about, success: successOf(appended) }))
    } catch (error) {
      if (codeOf(error) === status.UNAVAILABLE) throw error
      await this.#send(encode({ ...about, error: errorOf(error) }))
    } finally {
      clearTimeout(timer)
    }
  }
}

const longestTimerMs = 2 ** 31 - 1

/** An error as an answer: the official client tells its classes apart by the type of the details, and needs some. */
function errorOf(error: unknown): object {
  const code = error instanceof LateAppendError ? status.DEADLINE_EXCEEDED : codeOf(error)
  const message =
    code === status.INTERNAL || !(error instanceof Error) ? 'Internal error' : error.message.toWellFormed()
  const { name, value } = detailsOf(error, { message, code })
  return { code, message, details: { type_url: `type.googleapis.com/${name}`, value: messageEncoder(name)(value) } }
}

interface Details {
  readonly name: MessageName
  readonly value: object
}

function detailsOf(error: unknown, { message, code }: { readonly message: string; readonly code: status }): Details {
  if (error instanceof LateAppendError || error instanceof CommitInDoubtError) {
    return { name: 'event_store.client.Timeout', value: {} }
  }
  if (error instanceof WrongExpectedRevisionError) {
    return {
      name: 'event_store.client.WrongExpectedVersion',
      value: expectedRevisionFields(error, { current: 'currentStreamRevision', expected: 'expectedStreamPosition' }),
    }
  }
  const trailers = error instanceof CallRefusedError ? error.trailers : null
  const maxAppendSize = Number(trailers?.values?.['maximum-append-size'])
  if (trailers?.exception === 'access-denied') return { name: 'event_store.client.AccessDenied', value: {} }
  if (trailers?.exception === 'maximum-append-size-exceeded') {
    return { name: 'event_store.client.MaximumAppendSizeExceeded', value: { maxAppendSize } }
  }
  if (code === status.INTERNAL) return { name: 'event_store.client.Unknown', value: {} }
  return { name: 'event_store.client.BadRequest', value: { message } }
}
