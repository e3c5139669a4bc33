import type { History } from './history.ts'

/** What a category of streams takes in the log: events, and bytes of their data and metadata without big texts. */
export interface CategorySize {
  readonly category: string
  readonly events: bigint
  readonly dataBytes: bigint
}

/** Sizes of the log; `estimated` where only a sample was looked at. */
export interface LogSizes {
  readonly categories: readonly CategorySize[]
  readonly estimated: boolean
  /** Everything of the log on disk: events with their keys, commits, names, big texts. */
  readonly diskBytes: bigint
}

// Looking at so many takes a moment; of a bigger log a sample of about as many is looked at.
const sampledEvents = 200_000n

/** Reads what each category of streams takes. */
export async function readLogSizes(history: History): Promise<LogSizes> {
  const { position } = await history.head()
  const estimated = position > sampledEvents
  const share = estimated ? (Number(sampledEvents) / Number(position)) * 100 : 100
  const sample = estimated ? `tablesample system (${share.toFixed(4)})` : ''
  const categories = await history.rows<{ category: string; events: bigint; bytes: bigint }>(
    `select c.name as category, (count(*) * 100 / $1::float8)::int8 as events,
        (sum(coalesce(octet_length(e.data), 0) + coalesce(octet_length(e.meta), 0)) * 100 / $1::float8)::int8 as bytes
      from event e ${sample} join stream s using (stream_id) join category c using (category_id)
      group by 1 order by 3 desc, 1`,
    [Number(share.toFixed(4))],
  )
  const [disk] = await history.rows<{ bytes: bigint }>(
    `select coalesce(sum(pg_total_relation_size(c.oid)), 0)::int8 as bytes from pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
        and (c.relname in ('commit', 'stream', 'category', 'event_type', 'blob', 'tree_edge', 'tile', 'type_block', 'category_block')
          or c.oid in (select inhrelid from pg_inherits where inhparent = 'event'::regclass))`,
  )
  return {
    categories: categories.map(({ category, events, bytes }) => ({ category, events, dataBytes: bytes })),
    estimated,
    diskBytes: disk?.bytes ?? 0n,
  }
}
