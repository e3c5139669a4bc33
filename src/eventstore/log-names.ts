import type pg from 'pg'
import { GenerationCache } from './generation-cache.ts'
import { SkipBlocks } from './skip-blocks.ts'

/** A stream's number in the log, its category, and its last revision, which the writer keeps up with every commit. */
export interface StreamHead {
  readonly streamId: bigint
  readonly categoryId: number
  revision: bigint
}

const maxTypes = 10_000

/**
 * The writer's memory of streams, event types and categories: read on first use, bounded, and exact, since nobody else writes. A stream
 * known not to exist is remembered as null.
 */
export class LogNames {
  readonly #pool: pg.Pool
  readonly #heads: GenerationCache<string, StreamHead | null>
  readonly #types = new GenerationCache<string, number>(maxTypes)
  readonly #categories = new GenerationCache<string, number>(maxTypes)
  /** What the current block of positions is known to hold. */
  readonly blocks = new SkipBlocks()
  nextStreamId = 0n
  nextTypeId = 0
  nextCategoryId = 0

  constructor(pool: pg.Pool, { cachedStreams }: { readonly cachedStreams: number }) {
    this.#pool = pool
    this.#heads = new GenerationCache(cachedStreams)
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

  typeId(type: string, schema: number): number | undefined {
    return this.#types.get(typeKey(type, schema))
  }

  setTypeId(type: string, { schema, typeId }: { readonly schema: number; readonly typeId: number }): void {
    this.#types.set(typeKey(type, schema), typeId)
  }

  categoryId(category: string): number | undefined {
    return this.#categories.get(category)
  }

  setCategoryId(category: string, id: number): void {
    this.#categories.set(category, id)
  }

  /** Heads of these streams, null for one that does not exist. */
  async loadHeads(streams: readonly string[]): Promise<ReadonlyMap<string, StreamHead | null>> {
    const text = `select s.name, s.stream_id as "streamId", s.category_id as "categoryId", stream_last_revision(s.stream_id, s.first_pos) as revision
      from unnest($1::text[]) as n (name) join stream s on s.name = n.name`
    const { rows } = await this.#pool.query<StreamHead & { readonly name: string }>({
      name: 'heads',
      text,
      values: [streams],
    })
    const loaded = new Map<string, StreamHead | null>(streams.map((stream) => [stream, null]))
    for (const { name, ...head } of rows) loaded.set(name, head)
    for (const [stream, head] of loaded) this.#heads.set(stream, head)
    return loaded
  }

  /** Numbers of these types, as far as the log has them: afterwards {@link typeId} knows them, unless they are too many. */
  async loadTypes(
    types: readonly { readonly type: string; readonly schema: number }[],
  ): Promise<ReadonlyMap<string, number>> {
    const text = `select type_id as id, t.name, schema_version as schema from event_type t
      join unnest($1::text[], $2::int4[]) as n (name, schema) on t.name = n.name and t.schema_version = n.schema`
    const values = [types.map(({ type }) => type), types.map(({ schema }) => schema)]
    const { rows } = await this.#pool.query<{ id: number; name: string; schema: number }>({
      name: 'types',
      text,
      values,
    })
    const loaded = new Map(rows.map(({ id, name, schema }) => [typeKey(name, schema), id]))
    for (const [key, id] of loaded) this.#types.set(key, id)
    return loaded
  }

  /** Numbers of these categories, as far as the log has them. */
  async loadCategories(categories: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const text = 'select category_id as id, name from category where name = any ($1::text[])'
    const query = { name: 'category_ids', text, values: [categories] }
    const { rows } = await this.#pool.query<{ id: number; name: string }>(query)
    for (const row of rows) this.#categories.set(row.name, row.id)
    return new Map(rows.map((row) => [row.name, row.id]))
  }
}

/** By what an event type at a schema version is remembered. */
export function typeKey(type: string, schema: number): string {
  return `${type} ${schema}`
}
