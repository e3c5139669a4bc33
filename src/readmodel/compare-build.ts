import type { ClientBase } from 'pg'
import { compareTable, type TableComparison } from './compare-tables.ts'
import { buildSchema } from './projection-build.ts'
import { readProjections } from './projection-book.ts'
import type { Projection } from './projection.ts'

/** How a build differs from what serves, up to a position that both have reached. */
export interface BuildComparison {
  readonly projection: string
  readonly version: number
  /** Version of what serves; null where nothing does. */
  readonly servingVersion: number | null
  readonly position: bigint
  readonly tables: readonly TableComparison[]
  /** Tables that serve and are not built any more. */
  readonly removedTables: readonly string[]
  /** Streams that only one side has quarantined, or from another event on. */
  readonly deadLetters: readonly LetterDifference[]
  readonly identical: boolean
}

/** A stream with the position of the event from which on it is not followed; null where a side follows it. */
export interface LetterDifference {
  readonly stream: string
  readonly serving: bigint | null
  readonly built: bigint | null
}

/** Compares a build with what serves, every version of every row. At most `listed` differences of each table are listed, all are counted. */
export async function compareBuild(
  client: ClientBase,
  projection: Projection,
  { position: built, listed }: { readonly position: bigint; readonly listed: number },
): Promise<BuildComparison> {
  const row = (await readProjections(client)).find(({ name }) => name === projection.name)
  const serving = row?.position ?? built
  const position = serving < built ? serving : built
  const names = Object.values(projection.tables).map(({ name }) => name)
  const tables: TableComparison[] = []
  for (const table of Object.values(projection.tables)) {
    tables.push(
      await compareTable(client, table, { serving: 'public', built: buildSchema(projection), position, listed }),
    )
  }
  const removedTables = (row?.tables ?? []).filter((name) => !names.includes(name))
  const deadLetters = await compareLetters(client, projection, position)
  return {
    ...{ projection: projection.name, version: projection.version, servingVersion: row?.version ?? null },
    ...{ position, tables, removedTables, deadLetters },
    identical: removedTables.length === 0 && deadLetters.length === 0 && tables.every((table) => isIdentical(table)),
  }
}

function isIdentical({ differences, addedColumns, removedColumns }: TableComparison): boolean {
  return differences === 0n && addedColumns.length === 0 && removedColumns.length === 0
}

async function compareLetters(client: ClientBase, projection: Projection, position: bigint) {
  const { rows } = await client.query<LetterDifference>(
    `select stream, s.position as serving, b.position as built
      from (select * from public.dead_letter where projection = $1::text and position <= $2::int8) s
        full join (select * from "${buildSchema(projection)}".dead_letter where position <= $2::int8) b using (stream)
      where s.position is distinct from b.position order by stream limit 1000`,
    [projection.name, position],
  )
  return rows
}
