import * as v from 'valibot'
import { catalogue } from '../events/catalogue.ts'
import { domainStream } from '../events/stream-names.ts'
import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import { CliError } from './cli-error.ts'
import { alternatives } from './closest-names.ts'
import { exitCode } from './exit-code.ts'
import { findDomain, knownDomains, namesByUuid } from './find-domain.ts'
import { type History, openHistory } from './history.ts'
import type { Invocation } from './invocation.ts'
import { LogLines } from './log-lines.ts'
import { parseMoment } from './moment.ts'
import { toJson } from './output.ts'
import { tellEvent, eventDocument } from './told-event.ts'

/** Events that may be collected before they are shown, where the last ones are wanted in the order of the log. */
const mostCollected = 1_000_000

const optionsSchema = v.object({
  since: v.optional(v.string()),
  until: v.optional(v.string()),
  type: v.optional(v.string()),
  number: v.optional(
    v.pipe(v.string(), v.regex(/^[1-9]\d{0,8}$/, 'it must be a number from 1 on'), v.transform(Number)),
  ),
  reverse: v.optional(v.boolean(), false),
  follow: v.optional(v.boolean(), false),
})

/** Which part of the log is wanted. */
interface Selection {
  readonly stream: string | null
  readonly types: ReadonlySet<string> | null
  readonly first: bigint
  readonly last: bigint
}

/** `chronovisor log`: who did what, when and why. */
export async function logCommand(invocation: Invocation): Promise<number> {
  const { out, config } = invocation
  const options = parseOptions(invocation.options)
  await using history = await openHistory(config)
  const selection = await select(history, { wanted: invocation.args[0], options, nowUs: invocation.nowUs() })
  const lines = new LogLines(out, {
    names: namesByUuid(await knownDomains(history)),
    withStream: selection.stream === null,
  })
  const show = (event: RecordedEvent): void => {
    if (out.isJson) out.document(eventDocument(tellEvent(event)), { compact: true })
    else lines.show(event)
  }
  if (options.follow) return await follow(history, { selection, newest: options.number, show })
  const events = chosen(history, { selection, newest: options.number, reverse: options.reverse })
  let count = 0
  if (!out.isJson) {
    for await (const event of events) {
      show(event)
      count++
    }
    return count === 0 ? exitCode.nothing : exitCode.found
  }
  return (await writeArray(invocation, events)) === 0 ? exitCode.nothing : exitCode.found
}

function parseOptions(given: Invocation['options']): v.InferOutput<typeof optionsSchema> {
  const parsed = v.safeParse(optionsSchema, given)
  if (!parsed.success) throw new CliError(`Cannot use -n "${String(given['number'])}": ${parsed.issues[0].message}`)
  if (parsed.output.follow && (parsed.output.until !== undefined || parsed.output.reverse)) {
    throw new CliError('Cannot follow the log with --until or --reverse: it has no end yet')
  }
  return parsed.output
}

async function select(
  history: History,
  wish: {
    readonly wanted: string | undefined
    readonly options: v.InferOutput<typeof optionsSchema>
    readonly nowUs: bigint
  },
): Promise<Selection> {
  const { options, nowUs, wanted } = wish
  const head = (await history.head()).position
  const last = options.until === undefined ? head : await untilPosition(history, { until: options.until, nowUs, head })
  const first = options.since === undefined ? 0n : await history.firstSince(parseMoment(options.since, nowUs))
  const types = options.type === undefined ? null : new Set(options.type.split(',').map(knownType))
  return {
    stream: wanted === undefined ? null : await streamOf(history, { wanted, position: last }),
    types,
    first,
    last,
  }
}

async function untilPosition(
  history: History,
  { until, nowUs, head }: { readonly until: string; readonly nowUs: bigint; readonly head: bigint },
): Promise<bigint> {
  const moment = parseMoment(until, nowUs)
  if (moment.kind === 'position') return moment.position < head ? moment.position : head
  return await history.log.positionAt(moment.timeUs)
}

/** A stream by its name, else the stream of a domain by its name or UUID. */
async function streamOf(
  history: History,
  { wanted, position }: { readonly wanted: string; readonly position: bigint },
): Promise<string> {
  const exact = await history.rows('select 1 from stream where name = $1::text', [wanted])
  if (exact.length > 0) return wanted
  return domainStream((await findDomain(history, { wanted, position })).uuid)
}

function knownType(text: string): string {
  const wanted = text.trim()
  const found = Object.keys(catalogue).find((type) => type.toLowerCase() === wanted.toLowerCase())
  if (found !== undefined) return found
  throw new CliError(
    `Cannot show events of type "${wanted}": there is no such type${alternatives(wanted, Object.keys(catalogue))}`,
  )
}

/** The selected events in the order in which they are shown. */
async function* chosen(
  history: History,
  wish: { readonly selection: Selection; readonly newest: number | undefined; readonly reverse: boolean },
): AsyncGenerator<RecordedEvent, void> {
  const { selection, newest, reverse } = wish
  if (reverse) {
    yield* limited(backwards(history, selection), newest ?? Infinity)
    return
  }
  if (newest === undefined) {
    yield* forwards(history, selection)
    return
  }
  const collected = await Array.fromAsync(limited(backwards(history, selection), Math.min(newest, mostCollected)))
  yield* collected.toReversed()
}

async function* forwards(
  history: History,
  { stream, types, first, last }: Selection,
): AsyncGenerator<RecordedEvent, void> {
  const events = stream === null ? history.log.readAll({ from: first }) : history.log.readStream(stream)
  for await (const event of events) {
    if (event.position > last) return
    if (event.position >= first && (types === null || types.has(event.type))) yield event
  }
}

async function* backwards(
  history: History,
  { stream, types, first, last }: Selection,
): AsyncGenerator<RecordedEvent, void> {
  if (last < 0n) return
  const direction = 'backwards'
  const events =
    stream === null ? history.log.readAll({ from: last, direction }) : history.log.readStream(stream, { direction })
  for await (const event of events) {
    if (event.position < first) return
    if (event.position <= last && (types === null || types.has(event.type))) yield event
  }
}

async function* limited<T>(items: AsyncIterable<T>, most: number): AsyncGenerator<T, void> {
  let left = most
  for await (const item of items) {
    yield item
    if (--left <= 0) return
  }
}

/** Shows what is there, then whatever comes, until the program is told to end. */
async function follow(
  history: History,
  wish: {
    readonly selection: Selection
    readonly newest: number | undefined
    readonly show: (event: RecordedEvent) => void
  },
): Promise<number> {
  const { selection, newest, show } = wish
  const stop = new AbortController()
  const end = (): void => stop.abort()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end)
  for await (const event of chosen(history, { selection, newest, reverse: false })) {
    if (stop.signal.aborted) return exitCode.found
    show(event)
  }
  const { stream, types, first, last } = selection
  const filter = {
    ...(stream === null ? {} : { streams: { prefixes: [stream] } }),
    ...(types === null ? {} : { types: { prefixes: [...types] } }),
  }
  const from = last + 1n > first ? last + 1n : first
  for await (const delivery of history.log.subscribe({ from, filter, signal: stop.signal })) {
    if (delivery.kind !== 'event') continue
    const { event } = delivery
    if ((stream === null || event.stream === stream) && (types === null || types.has(event.type))) show(event)
  }
  return exitCode.found
}

/** One JSON array, written as it is read: a log may be longer than memory. */
async function writeArray({ out }: Invocation, events: AsyncIterable<RecordedEvent>): Promise<number> {
  let count = 0
  let held: string | null = null
  for await (const event of events) {
    if (held !== null) out.line(`${count === 1 ? '[' : ' '}${held},`)
    held = toJson(eventDocument(tellEvent(event)), { compact: true })
    count++
  }
  out.line(held === null ? '[]' : `${count === 1 ? '[' : ' '}${held}]`)
  return count
}
