import { densePages } from './dense-pages.ts'
import type { EventPage, EventRows } from './event-rows.ts'
import { candidateRuns, type FilterPlan, planFilter } from './filter-plan.ts'
import { type LogFilter, passesFilter } from './log-filter.ts'
import { mergeStreams } from './merge-streams.ts'
import { type Direction, readStatements, type RowFilter, type Span } from './read-statements.ts'
import type { RecordedEvent } from './recorded-event.ts'

/** A part of the log that was looked at: what is wanted of it, and the position up to which (it included) nothing else is. */
export interface Passage {
  readonly events: readonly RecordedEvent[]
  readonly upTo: bigint
}

/** What of the log to read. Both positions are in it; the last one is committed. */
export interface PassageOptions extends Span {
  readonly direction: Direction
  readonly filter?: LogFilter | undefined
}

/** Events of the largest page. */
export const mostPageEvents = 2_048
const mostMergedEvents = 256
const firstWindow = 4_096n
const largestWindow = 65_536n

/** Reads a range of the log, all of it or what passes a filter. */
export async function* passages(rows: EventRows, options: PassageOptions): AsyncGenerator<Passage, void> {
  const { direction, filter, first, last } = options
  if (last < first) return
  if (filter === undefined) {
    for await (const events of positionPages(rows, options)) yield { events, upTo: events.at(-1)?.position ?? last }
    return
  }
  const plan = await planFilter(rows, { filter, span: { first, last } })
  for await (const { events, upTo } of plannedPassages(rows, plan, options)) {
    yield { events: events.filter((event) => passesFilter(filter, event)), upTo }
  }
  yield { events: [], upTo: direction === 'forwards' ? last : first }
}

/** Pages of one stream between two revisions. */
export function revisionPages(
  rows: EventRows,
  stream: {
    readonly streamId: number
    readonly span: Span
    readonly direction: Direction
    readonly mostEvents?: number
  },
): AsyncGenerator<readonly RecordedEvent[], void> {
  const { streamId, span, direction, mostEvents = mostPageEvents } = stream
  const read = async (part: Span): Promise<EventPage> =>
    await rows.read(readStatements.revisions({ ...part, direction, streamId }))
  const numberOf = (event: RecordedEvent): bigint => event.revision
  return densePages({ ...span, direction, mostEvents, read, numberOf, what: `stream number ${streamId}, revision` })
}

function positionPages(rows: EventRows, { first, last, direction }: PassageOptions) {
  const read = async (span: Span): Promise<EventPage> =>
    await rows.read(readStatements.positions({ ...span, direction }))
  const numberOf = (event: RecordedEvent): bigint => event.position
  return densePages({ first, last, direction, mostEvents: mostPageEvents, read, numberOf, what: 'position' })
}

async function* plannedPassages(
  rows: EventRows,
  plan: FilterPlan,
  { first, last, direction }: PassageOptions,
): AsyncGenerator<Passage, void> {
  switch (plan.kind) {
    case 'nothing':
      return
    case 'streams': {
      const streams = plan.parts.map(({ streamId, revisions }) =>
        revisionPages(rows, { streamId, span: revisions, direction, mostEvents: mostMergedEvents }),
      )
      for await (const events of mergeStreams(streams, direction))
        yield { events, upTo: events.at(-1)?.position ?? first }
      return
    }
    case 'blocks': {
      const { narrowing, rows: filter } = plan
      for await (const span of candidateRuns(rows, { narrowing, span: { first, last }, direction })) {
        yield* windows(rows, { span, filter, direction })
      }
    }
  }
}

interface Run {
  readonly span: Span
  readonly filter: RowFilter
  readonly direction: Direction
}

/** Reads a run in windows of positions, larger while little in them is wanted, the next one while the last one is used. */
async function* windows(rows: EventRows, run: Run): AsyncGenerator<Passage, void> {
  const { span, direction } = run
  const isForwards = direction === 'forwards'
  let size = firstWindow
  let window = windowAt(run, isForwards ? span.first : span.last, size)
  let coming: Promise<EventPage> | null = readWindow(rows, run, window)
  while (coming !== null) {
    const { events, isCut }: EventPage = await coming
    const end: bigint = isForwards ? window.last : window.first
    const upTo: bigint = isCut ? (events.at(-1)?.position ?? end) : end
    if (isCut || events.length > mostPageEvents / 2) size = size > 256n ? size / 2n : size
    else if (events.length < mostPageEvents / 8 && size < largestWindow) size *= 2n
    const next: bigint = isForwards ? upTo + 1n : upTo - 1n
    window = windowAt(run, next, size)
    coming = next < span.first || next > span.last ? null : readWindow(rows, run, window)
    yield { events, upTo }
  }
}

function windowAt({ span, direction }: Run, at: bigint, size: bigint): Span {
  if (direction === 'forwards') return { first: at, last: at + size - 1n < span.last ? at + size - 1n : span.last }
  return { first: at - size + 1n > span.first ? at - size + 1n : span.first, last: at }
}

/** A window that nobody comes back for must not end the process when it fails. */
function readWindow(rows: EventRows, { filter, direction }: Run, window: Span): Promise<EventPage> {
  const page = rows.read(readStatements.positions({ ...window, direction, filter }))
  page.catch(() => undefined)
  return page
}
