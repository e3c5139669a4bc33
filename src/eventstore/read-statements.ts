import { escapeLiteral } from 'pg'

/** A range of positions or revisions, both ends in it. */
export interface Span {
  readonly first: bigint
  readonly last: bigint
}

/** Which rows of a range of positions are wanted: of these types, of streams whose names begin so. */
export interface RowFilter {
  readonly types?: readonly number[]
  readonly prefixes?: readonly string[]
}

/** The direction of a read. */
export type Direction = 'forwards' | 'backwards'

const columns = 'pos, stream_id, revision, type_id, commit_no, event_id, data, meta, data_hash'
const orders = { forwards: '', backwards: ' desc' } as const

/**
 * The statements by which the log is read. COPY takes no parameters, so numbers and quoted names stand in the text; each is answered by
 * a primary or unique key whatever the size of the log.
 */
export const readStatements = {
  positions: ({ first, last, direction, filter = {} }: Span & { direction: Direction; filter?: RowFilter }): string =>
    `select ${columns} from event e where pos >= ${first} and pos <= ${last}${wantedRows(filter)} order by pos${orders[direction]}`,

  revisions: ({ first, last, direction, streamId }: Span & { direction: Direction; streamId: number }): string =>
    `select ${columns} from event where stream_id = ${streamId} and revision >= ${first} and revision <= ${last}
      order by revision${orders[direction]}`,

  commitRange: ({ first, last }: { first: number; last: number }): string =>
    `select commit_no, at_us, epoch from commit where commit_no >= ${first} and commit_no <= ${last}`,

  commits: (numbers: readonly number[]): string =>
    `select commit_no, at_us, epoch from commit where commit_no = any ('{${numbers.join()}}'::int8[])`,

  streamNames: (ids: readonly number[]): string =>
    `select stream_id, name from stream where stream_id = any ('{${ids.join()}}'::int8[])`,

  typesAfter: (id: number): string =>
    `select type_id, schema_version, name from event_type where type_id > ${id} order by type_id`,

  /** For each stream the revisions that lie in a range of positions. */
  revisionSpans: ({ ids, first, last }: Span & { ids: readonly number[] }): string =>
    `select id, stream_revision_at(id, ${first - 1n}::int8) + 1, stream_revision_at(id, ${last}::int8)
      from unnest('{${ids.join()}}'::int8[]) as s (id)`,

  head: (): string => 'select last_pos from commit order by commit_no desc limit 1',

  streamHead: (name: string): string =>
    `select s.stream_id, last.revision, last.pos from stream s cross join lateral (${lastOfStream('s.stream_id')}) last
      where s.name = ${escapeLiteral(name)}`,

  /** Streams whose names begin so, the first ones of them by name. */
  streamsOfPrefix: ({ prefix, limit }: { prefix: string; limit: number }): string =>
    `select stream_id, name from stream where ${beginsWith('name', prefix)} order by name limit ${limit}`,

  categories: (name: { exactly: string } | { prefix: string }): string =>
    `select category_id from category where ${'prefix' in name ? beginsWith('name', name.prefix) : `name = ${escapeLiteral(name.exactly)}`}`,

  typeBlocks: ({ ids, ...span }: Span & { ids: readonly number[] }): string =>
    `select distinct block from type_block where ${blocksOf('type_id', { ids, ...span })}`,

  categoryBlocks: ({ ids, ...span }: Span & { ids: readonly number[] }): string =>
    `select distinct block from category_block where ${blocksOf('category_id', { ids, ...span })}`,
} as const

function lastOfStream(streamId: string): string {
  return `select revision, pos from event e where e.stream_id = ${streamId} order by revision desc limit 1`
}

/** The look-up of a name is by its key for each row, never a join whose shape follows from how many streams begin so. */
function wantedRows({ types, prefixes }: RowFilter): string {
  const ofTypes = types === undefined ? '' : ` and type_id = any ('{${types.join()}}'::int4[])`
  if (prefixes === undefined) return ofTypes
  const wanted = prefixes.map((prefix) => escapeLiteral(prefix)).join()
  return `${ofTypes} and (select s.name from stream s where s.stream_id = e.stream_id) ^@ any (array[${wanted}]::text[])`
}

function blocksOf(column: string, { ids, first, last }: Span & { readonly ids: readonly number[] }): string {
  return `${column} = any ('{${ids.join()}}'::int4[]) and block >= ${first} and block <= ${last} order by block`
}

/** By the index in byte order; the end of the range is the prefix with its last byte, seen as the code point, one higher. */
function beginsWith(column: string, prefix: string): string {
  const end = afterPrefix(prefix)
  const upper = end === null ? '' : ` and ${column} < ${escapeLiteral(end)}`
  return `${column} >= ${escapeLiteral(prefix)}${upper}`
}

/** The first text, in byte order of UTF-8, after all that begin with a prefix; null where there is none. */
function afterPrefix(prefix: string): string | null {
  const points = Array.from(prefix)
  for (let at = points.length - 1; at >= 0; at -= 1) {
    const next = (points[at]?.codePointAt(0) ?? 0) + 1
    if (next > 0x10_ffff) continue
    const valid = next >= 0xd800 && next <= 0xdfff ? 0xe000 : next
    return points.slice(0, at).join('') + String.fromCodePoint(valid)
  }
  return null
}
