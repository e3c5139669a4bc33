import type pg from 'pg'
import { BoundedMap } from './bounded-map.ts'
import { SkipBlocks } from './skip-blocks.ts'

/** A stream's number in the log and its last revision. */
export interface StreamHead {
  readonly streamId: bigint
  readonly revision: bigint
}

const maxTypes = 10_000

/**
 * The writer's memory of streams, event types and categories: read on first use, bounded, and exact, since nobody else writes. A stream
 * known not to exist is remembered as null.
 */
export class LogNames {
  readonly #pool: pg.Pool
  readonly #heads: BoundedMap<string, StreamHead | null>
  readonly #types = new BoundedMap<string, number>(maxTypes)
  readonly #categories = new BoundedMap<string, number>(maxTypes)
  /** What the current block of positions is known to hold. */
  readonly blocks = new SkipBlocks()
  nextStreamId = 0n
  nextTypeId = 0
  nextCategoryId = 0

  constructor(pool: pg.Pool, { cachedStreams }: { readonly cachedStreams: number }) {
    this.#pool = pool
    this.#heads = new BoundedMap(cachedStreams)
  }

  /** Reads the numbers to give next; forgets everything else. */
  async open(): Promise<void> {
    this.#heads.clear()
    this.#types.clear()
    this.#categories.clear()
    this.blocks.clear()
    const { rows } = await this.#pool.query<{ stream: bigint | null; type: number | null; category: number | null }>(
      `select (select max(stream_id) from stream) as stream, (select max(type_id) from event_type) as type,
        (select max(category_id) from category) as category`,
    )
    this.nextStreamId = (rows[0]?.stream ?? -1n) + 1n
    this.nextTypeId = (rows[0]?.type ?? -1) + 1
    this.nextCategoryId = (rows[0]?.category ?? -1) + 1
  }

  head(stream: string): StreamHead | null | undefined {
    return this.#heads.get(stream)
  }

  setHead(stream: string, head: StreamHead): void {
    this.#heads.set(stream, head)
  }

  typeId(type: string): number | undefined {
    return this.#types.get(type)
  }

  setTypeId(type: string, id: number): void {
    this.#types.set(type, id)
  }

  categoryId(category: string): number | undefined {
    return this.#categories.get(category)
  }

  setCategoryId(category: string, id: number): void {
    this.#categories.set(category, id)
  }

  /** Heads of these streams, null for one that does not exist. */
  async loadHeads(streams: readonly string[]): Promise<ReadonlyMap<string, StreamHead | null>> {
    const text = `select s.name, s.stream_id, (select max(revision) from event e where e.stream_id = s.stream_id) as revision
      from unnest($1::text[]) as n (name) join stream s on s.name = n.name`
    const query = { name: 'heads', text, values: [streams] }
    const { rows } = await this.#pool.query<{ name: string; stream_id: bigint; revision: bigint }>(query)
    const loaded = new Map<string, StreamHead | null>(streams.map((stream) => [stream, null]))
    for (const row of rows) loaded.set(row.name, { streamId: row.stream_id, revision: row.revision })
    for (const [stream, head] of loaded) this.#heads.set(stream, head)
    return loaded
  }

  /** Numbers of these types (see {@link typeKey}), as far as the log has them. */
  async loadTypes(types: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const text = `select type_id as id, name || ' ' || schema_version as name from event_type where name || ' ' || schema_version = any ($1::text[])`
    return this.#load({ name: 'type_ids', text, values: [types] }, this.#types)
  }

  /** Numbers of these categories, as far as the log has them. */
  async loadCategories(categories: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const text = 'select category_id as id, name from category where name = any ($1::text[])'
    return this.#load({ name: 'category_ids', text, values: [categories] }, this.#categories)
  }

  async #load(query: pg.QueryConfig, cache: BoundedMap<string, number>): Promise<ReadonlyMap<string, number>> {
    const { rows } = await this.#pool.query<{ id: number; name: string }>(query)
    for (const row of rows) cache.set(row.name, row.id)
    return new Map(rows.map((row) => [row.name, row.id]))
  }
}

/** By what an event type at a schema version is remembered. */
export function typeKey(type: string, schema: number): string {
  return `${type} ${schema}`
}
