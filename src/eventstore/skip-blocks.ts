import { int4Array, int8Array } from './binary-values.ts'
import type { CommitStatement } from './commit-participant.ts'
import { blockPositions } from './filter-plan.ts'
import type { RecordedEvent } from './recorded-event.ts'

/** What a commit has to say of the blocks its events lie in. */
export interface BlockNumbers {
  typeIdOf(event: RecordedEvent): number
  categoryIdOf(event: RecordedEvent): number
  /** Numbers that occur in the commit at all. */
  readonly typeIds: Iterable<number>
  readonly categoryIds: Iterable<number>
}

/** Rows of the skip blocks that a commit adds. */
export interface BlockRows {
  readonly types: readonly BlockRow[]
  readonly categories: readonly BlockRow[]
}

interface BlockRow {
  readonly id: number
  readonly block: bigint
}

/**
 * The writer's memory of which types and categories the current block is known to hold: a commit adds rows only for those that are new in
 * it. It may know too little (after a start it knows nothing), never too much: a row that is there already is left as it is.
 */
export class SkipBlocks {
  #block = -1n
  readonly #types = new Set<number>()
  readonly #categories = new Set<number>()

  /** Forgets the block. */
  clear(): void {
    this.#block = -1n
    this.#types.clear()
    this.#categories.clear()
  }

  /** The rows that are not known to be there. */
  missing(events: readonly RecordedEvent[], numbers: BlockNumbers): BlockRows {
    const first = blockOf(events[0])
    const last = blockOf(events.at(-1))
    if (first === last) {
      const { typeIds, categoryIds } = numbers
      return {
        types: this.#unknown(this.#types, { block: first, ids: typeIds }),
        categories: this.#unknown(this.#categories, { block: first, ids: categoryIds }),
      }
    }
    const types: BlockRow[] = []
    const categories: BlockRow[] = []
    for (let block = first; block <= last; block += 1n) {
      const inBlock = events.filter((event) => blockOf(event) === block)
      const typeIds = new Set(inBlock.map((event) => numbers.typeIdOf(event)))
      const categoryIds = new Set(inBlock.map((event) => numbers.categoryIdOf(event)))
      types.push(...this.#unknown(this.#types, { block, ids: typeIds }))
      categories.push(...this.#unknown(this.#categories, { block, ids: categoryIds }))
    }
    return { types, categories }
  }

  /** Those rows are recorded. */
  remember({ types, categories }: BlockRows): void {
    for (const { block } of [...types, ...categories]) {
      if (block <= this.#block) continue
      this.clear()
      this.#block = block
    }
    for (const { id, block } of types) if (block === this.#block) this.#types.add(id)
    for (const { id, block } of categories) if (block === this.#block) this.#categories.add(id)
  }

  #unknown(
    known: ReadonlySet<number>,
    { block, ids }: { readonly block: bigint; readonly ids: Iterable<number> },
  ): readonly BlockRow[] {
    const rows: BlockRow[] = []
    for (const id of ids) if (block !== this.#block || !known.has(id)) rows.push({ id, block })
    return rows
  }
}

/** Writes rows of the types; null where there are none. */
export function typeBlockStatement({ types }: BlockRows): CommitStatement | null {
  return blockStatement(types, { name: 'log_type_block', into: 'type_block (type_id, block)' })
}

/** Writes rows of the categories; null where there are none. */
export function categoryBlockStatement({ categories }: BlockRows): CommitStatement | null {
  return blockStatement(categories, { name: 'log_category_block', into: 'category_block (category_id, block)' })
}

function blockStatement(
  rows: readonly BlockRow[],
  { name, into }: { readonly name: string; readonly into: string },
): CommitStatement | null {
  if (rows.length === 0) return null
  return {
    name,
    sql: `insert into ${into} select * from unnest($1::int4[], $2::int8[]) on conflict do nothing`,
    values: [int4Array(rows.map(({ id }) => id)), int8Array(rows.map(({ block }) => block))],
    expectedRows: null,
  }
}

function blockOf(event: RecordedEvent | undefined): bigint {
  return (event?.position ?? 0n) / blockPositions
}
