import { LogCorruptError } from './append-errors.ts'
import type { EventPage } from './event-rows.ts'
import type { Direction, Span } from './read-statements.ts'
import type { RecordedEvent } from './recorded-event.ts'

/** A stretch of numbers (positions, or revisions of a stream) of which each has an event. */
export interface DenseStretch extends Span {
  readonly direction: Direction
  readonly mostEvents: number
  readonly read: (span: Span) => Promise<EventPage>
  readonly numberOf: (event: RecordedEvent) => bigint
  /** What the numbers count, for people. */
  readonly what: string
}

// A reader that wants little, or never comes back, costs little; one that goes on soon has large pages.
const firstPageEvents = 128
const pageGrowth = 4

/**
 * Reads a stretch page by page, the next one while the last one is used. A number without an event is corruption, since the log has no
 * gaps: throws {@link LogCorruptError} that names it.
 */
export async function* densePages(stretch: DenseStretch): AsyncGenerator<readonly RecordedEvent[], void> {
  const { first, last, direction } = stretch
  const step = direction === 'forwards' ? 1n : -1n
  let next = direction === 'forwards' ? first : last
  let size = Math.min(firstPageEvents, stretch.mostEvents)
  let coming = last < first ? null : fetch(stretch, spanFrom(stretch, { next, size }))
  while (coming !== null) {
    const { events, isCut, wanted } = await coming
    checkDense(stretch, { events, next, wanted: isCut ? events.length : wanted })
    next += step * BigInt(events.length)
    size = Math.min(size * pageGrowth, stretch.mostEvents)
    coming = next < first || next > last ? null : fetch(stretch, spanFrom(stretch, { next, size }))
    yield events
  }
}

interface FetchedPage extends EventPage {
  readonly wanted: number
}

/** A page that nobody comes back for must not end the process when it fails. */
function fetch(stretch: DenseStretch, span: Span): Promise<FetchedPage> {
  const wanted = Number(span.last - span.first) + 1
  const page = stretch.read(span).then((read) => ({ ...read, wanted }))
  page.catch(() => undefined)
  return page
}

function spanFrom(
  { first, last, direction }: DenseStretch,
  { next, size }: { readonly next: bigint; readonly size: number },
): Span {
  const reach = BigInt(size - 1)
  if (direction === 'forwards') return { first: next, last: next + reach < last ? next + reach : last }
  return { first: next - reach > first ? next - reach : first, last: next }
}

function checkDense(
  { direction, numberOf, what }: DenseStretch,
  page: { readonly events: readonly RecordedEvent[]; readonly next: bigint; readonly wanted: number },
): void {
  const step = direction === 'forwards' ? 1n : -1n
  let expected = page.next
  for (const event of page.events) {
    if (numberOf(event) !== expected) break
    expected += step
  }
  const missing = page.next + step * BigInt(page.wanted)
  if (expected !== missing)
    throw new LogCorruptError(`Cannot read the log: the event at ${what} ${expected} is missing`)
}
