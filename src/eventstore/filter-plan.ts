import { categoryOf } from '../events/stream-names.ts'
import type { EventRows } from './event-rows.ts'
import { type LogFilter, passesName, prefixesOf } from './log-filter.ts'
import { type Direction, readStatements, type RowFilter, type Span } from './read-statements.ts'

/** The part of a stream that lies in the range that is read. */
export interface StreamPart {
  readonly streamId: number
  readonly revisions: Span
}

/**
 * How a filtered read finds its events: nowhere, along the few streams it can mean, or through those blocks of positions that hold its
 * types and categories.
 */
export type FilterPlan =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'streams'; readonly parts: readonly StreamPart[] }
  | { readonly kind: 'blocks'; readonly narrowing: Narrowing; readonly rows: RowFilter }

/** Numbers of the types and categories wanted; null where it may be any. */
export interface Narrowing {
  readonly types: readonly number[] | null
  readonly categories: readonly number[] | null
}

/** Positions of one block: `position / 4,096`, as the skip blocks count. */
export const blockPositions = 4_096n

const mostStreams = 16
const mostNumbers = 256
/** Blocks whose rows are looked up at once: 16 million positions. */
const windowBlocks = 4_096n

/** Plans a read of a range whose last position is committed: names that come later are none of its own. */
export async function planFilter(
  rows: EventRows,
  { filter, span }: { filter: LogFilter; span: Span },
): Promise<FilterPlan> {
  const types = await wantedTypes(rows, filter)
  const prefixes = prefixesOf(filter.streams)
  if (types?.length === 0 || prefixes?.length === 0) return { kind: 'nothing' }
  const categories = prefixes === null ? null : await wantedCategories(rows, prefixes)
  if (categories?.length === 0) return { kind: 'nothing' }
  const narrowing = { types: fewOrNull(types), categories: fewOrNull(categories) }
  const parts = prefixes === null ? null : await streamParts(rows, { prefixes, span })
  if (parts !== null) {
    if (parts.length === 0) return { kind: 'nothing' }
    const events = parts.reduce((sum, { revisions }) => sum + revisions.last - revisions.first + 1n, 0n)
    if (events <= blockPositions || (await areStreamsShorter(rows, { events, narrowing, span }))) {
      return { kind: 'streams', parts }
    }
  }
  const wanted = { ...(types === null ? {} : { types }), ...(prefixes === null ? {} : { prefixes }) }
  return { kind: 'blocks', narrowing, rows: wanted }
}

/** The runs of positions of a range that can hold what is wanted, in the direction of the read. */
export async function* candidateRuns(
  rows: EventRows,
  { narrowing, span, direction }: { narrowing: Narrowing; span: Span; direction: Direction },
): AsyncGenerator<Span, void> {
  const all = blockSpan(span)
  const windows = (all.last - all.first) / windowBlocks + 1n
  for (let at = 0n; at < windows; at += 1n) {
    const number = direction === 'forwards' ? at : windows - 1n - at
    const first = all.first + number * windowBlocks
    const window = { first, last: least(first + windowBlocks - 1n, all.last) }
    const blocks = await blocksIn(rows, { narrowing, span: window })
    const runs = blocks === null ? [window] : runsOf(blocks)
    for (const run of direction === 'forwards' ? runs : runs.toReversed()) {
      const positions = { first: run.first * blockPositions, last: (run.last + 1n) * blockPositions - 1n }
      yield { first: greatest(positions.first, span.first), last: least(positions.last, span.last) }
    }
  }
}

async function wantedTypes(rows: EventRows, { types: filter }: LogFilter): Promise<readonly number[] | null> {
  if (filter === undefined) return null
  const all = await rows.types()
  const wanted = all.filter((type) => passesName(filter, type.name)).map((type) => type.id)
  return wanted.length === all.length ? null : wanted
}

/** A prefix with a dash has its category in it; one without may be the beginning of several. */
async function wantedCategories(rows: EventRows, prefixes: readonly string[]): Promise<readonly number[]> {
  const ids = new Set<number>()
  for (const prefix of prefixes) {
    const name = prefix.includes('-') ? { exactly: categoryOf(prefix) } : { prefix }
    for (const id of await rows.copy(readStatements.categories(name), (columns) => columns.int4())) ids.add(id)
  }
  return [...ids]
}

/** Parts of all streams that begin with one of the prefixes; null where they are not few. */
async function streamParts(
  rows: EventRows,
  { prefixes, span }: { prefixes: readonly string[]; span: Span },
): Promise<readonly StreamPart[] | null> {
  const ids = new Set<number>()
  for (const prefix of prefixes) {
    const statement = readStatements.streamsOfPrefix({ prefix, limit: mostStreams + 1 })
    const named = await rows.copy(statement, (columns) => ({ id: columns.count(), name: columns.text() }))
    for (const { id } of named) ids.add(id)
    if (ids.size > mostStreams) return null
  }
  if (ids.size === 0) return []
  const parts = await rows.copy(readStatements.revisionSpans({ ids: [...ids], ...span }), (columns) => ({
    streamId: columns.count(),
    revisions: { first: columns.int8(), last: columns.int8() },
  }))
  return parts.filter(({ revisions }) => revisions.first <= revisions.last)
}

/** Whether the streams have fewer events than the blocks have positions: a rare type of a long stream is found by its blocks. */
async function areStreamsShorter(
  rows: EventRows,
  { events, narrowing, span }: { events: bigint; narrowing: Narrowing; span: Span },
): Promise<boolean> {
  const blocks = await blocksIn(rows, { narrowing, span: blockSpan(span) })
  return events <= (blocks === null ? span.last - span.first + 1n : BigInt(blocks.length) * blockPositions)
}

/** Blocks of a range that have both a wanted type and a wanted category, in order; null where any may. */
async function blocksIn(
  rows: EventRows,
  { narrowing, span }: { narrowing: Narrowing; span: Span },
): Promise<readonly bigint[] | null> {
  const { types, categories } = narrowing
  const ofTypes = types === null ? null : await blockNumbers(rows, readStatements.typeBlocks({ ids: types, ...span }))
  if (categories === null) return ofTypes
  const ofCategories = await blockNumbers(rows, readStatements.categoryBlocks({ ids: categories, ...span }))
  if (ofTypes === null) return ofCategories
  const known = new Set(ofTypes)
  return ofCategories.filter((block) => known.has(block))
}

async function blockNumbers(rows: EventRows, statement: string): Promise<readonly bigint[]> {
  return await rows.copy(statement, (columns) => columns.int8())
}

function runsOf(blocks: readonly bigint[]): readonly Span[] {
  const runs: { first: bigint; last: bigint }[] = []
  for (const block of blocks) {
    const run = runs.at(-1)
    if (run !== undefined && run.last + 1n === block) run.last = block
    else runs.push({ first: block, last: block })
  }
  return runs
}

function blockSpan({ first, last }: Span): Span {
  return { first: first / blockPositions, last: last / blockPositions }
}

function fewOrNull(ids: readonly number[] | null): readonly number[] | null {
  return ids === null || ids.length > mostNumbers ? null : ids
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function greatest(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
