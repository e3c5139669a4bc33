import { randomBytes } from 'node:crypto'
import type { LogReader } from '../eventstore/log-reader.ts'
import { type CatchUpProgress, catchUp } from './catch-up.ts'
import type { Projection } from './projection.ts'
import { PresumedLetters } from './presumed-letters.ts'
import { type Decode, ProjectionRun } from './projection-run.ts'
import { readResumptions } from './resumption.ts'
import { createTables, readAllColumns } from './projection-tables.ts'
import { sameRow } from './row-history.ts'
import { columnsOf, type RunTarget } from './run-target.ts'
import type { AnyTable } from './table.ts'
import { withClient } from './with-client.ts'

/** A version of a row that only one side has: `stored` in what serves, `replayed` in the replay. */
export interface ReplayDifference {
  readonly table: string
  readonly where: 'table' | 'memory'
  readonly only: 'stored' | 'replayed'
  /** The row as JSON text. */
  readonly row: string
}

/** What a replay check found. At most 20 differences of each table are listed, all are counted. */
export interface ReplayReport {
  readonly identical: boolean
  /** The replay went from position 0 to here. */
  readonly position: bigint
  readonly tables: readonly { readonly name: string; readonly versions: bigint; readonly differences: bigint }[]
  readonly differences: readonly ReplayDifference[]
  /** Quarantined streams that the replay and the record do not agree on, as text. */
  readonly deadLetters: readonly string[]
}

/** What a replay check works on. */
export interface ReplayCheck {
  readonly projections: readonly Projection[]
  readonly decode: Decode
  readonly sql: ReadonlyMap<Projection, string>
  readonly target: RunTarget
  readonly reader: LogReader
  readonly live: ProjectionRun
  readonly position: () => bigint
  readonly onProgress?: (progress: CatchUpProgress) => void
  readonly signal?: AbortSignal
}

const listedDifferences = 20
const memoryTries = 50

/** Replays all projections from position 0 into a schema of their own and compares every version of every row. */
export async function replayCheck(check: ReplayCheck): Promise<ReplayReport> {
  const schema = `replay_${randomBytes(8).toString('hex')}`
  const { pool } = check.target
  await withClient(pool, (client) => client.query(`create schema "${schema}"`))
  try {
    const columns = await withClient(pool, async (client) => {
      await client.query('begin')
      for (const projection of check.projections) {
        await createTables(client, projection, { schema, sql: check.sql.get(projection) ?? '' })
      }
      await client.query('commit')
      return readAllColumns(client, { schema, projections: check.projections })
    })
    const resumptions = await Promise.all(check.projections.map((each) => readResumptions(check.reader, each)))
    const presumed = new PresumedLetters(check.live.deadLetters.values(), resumptions.flat())
    return await new Replay(check, { pool, schema, columns }, presumed).compare()
  } finally {
    await withClient(pool, (client) => client.query(`drop schema "${schema}" cascade`))
  }
}

class Replay {
  readonly #check: ReplayCheck
  readonly #shadow: RunTarget
  readonly #run: ProjectionRun
  #position = -1n

  constructor(check: ReplayCheck, shadow: RunTarget, presumed: PresumedLetters) {
    this.#check = check
    this.#shadow = shadow
    this.#run = new ProjectionRun({
      projections: check.projections,
      decode: check.decode,
      check: (table, row) => columnsOf(shadow, table).check(row),
      onQuarantine: () => undefined,
      presumed,
    })
  }

  async compare(): Promise<ReplayReport> {
    await this.#replayTo(this.#check.position())
    // Rows in memory can only be compared while both sides stand at the same event.
    for (let tries = 1; this.#position !== this.#check.position() && tries < memoryTries; tries += 1) {
      await this.#replayTo(this.#check.position())
    }
    const differences: ReplayDifference[] = this.#position === this.#check.position() ? this.#memoryDifferences() : []
    const deadLetters = this.#letterDifferences()
    const tables = []
    for (const table of this.#shadow.columns.keys()) {
      const found = await this.#tableDifferences(table)
      differences.push(...found.differences)
      tables.push({ name: table.name, versions: found.versions, differences: found.count })
    }
    const identical = differences.length === 0 && deadLetters.length === 0
    return { identical, position: this.#position, tables, differences, deadLetters }
  }

  async #replayTo(position: bigint): Promise<void> {
    const { reader, projections, onProgress, signal } = this.#check
    await catchUp({
      run: this.#run,
      only: new Set(projections),
      target: this.#shadow,
      reader,
      from: this.#position,
      to: position,
      record: () => [],
      ...(onProgress === undefined ? {} : { onProgress }),
      ...(signal === undefined ? {} : { signal }),
    })
    this.#position = position
  }

  /** Versions that begin after the replay's end are left out, ends after it are no ends. */
  async #tableDifferences(table: AnyTable) {
    const names = columnsOf(this.#shadow, table).columns.map(({ name }) => `"${name}"`)
    const all = [...names, 'from_position', 'to_position', 'valid_from', 'valid_to'].join(', ')
    const text = `
      with stored as (
        select ${names.join(', ')}, from_position,
          case when to_position <= $1::int8 then to_position end as to_position,
          valid_from, case when to_position <= $1::int8 then valid_to end as valid_to
        from "${this.#check.target.schema}"."${table.name}" where from_position <= $1::int8),
      replayed as (select ${all} from "${this.#shadow.schema}"."${table.name}"),
      different as (
        select 'stored' as only_in, d.* from (select * from stored except all select * from replayed) d
        union all
        select 'replayed' as only_in, d.* from (select * from replayed except all select * from stored) d)
      select (select count(*) from replayed) as versions, (select count(*) from different) as count,
        coalesce((select json_agg(json_build_object('only', only_in, 'row', row_to_json(l)::text))
          from (select * from different limit ${listedDifferences}) l), '[]') as listed`
    const { rows } = await this.#shadow.pool.query<{
      versions: bigint
      count: bigint
      listed: readonly { readonly only: 'stored' | 'replayed'; readonly row: string }[]
    }>(text, [this.#position])
    const [row] = rows
    const differences = (row?.listed ?? []).map((each) => ({ ...each, table: table.name, where: 'table' as const }))
    return { versions: row?.versions ?? 0n, count: row?.count ?? 0n, differences }
  }

  #memoryDifferences(): ReplayDifference[] {
    return [...this.#shadow.columns.keys()].flatMap((table) => {
      const stored = this.#check.live.overlay(table).base
      const replayed = this.#run.overlay(table).base
      const onlyIn = (side: typeof stored, { other, only }: { other: typeof stored; only: 'stored' | 'replayed' }) =>
        [...side.entries()]
          .filter(([key, { row, fromPosition }]) => {
            const there = other.version(key)
            return there === undefined || there.fromPosition !== fromPosition || !sameRow(there.row, row)
          })
          .slice(0, listedDifferences)
          .map(([, { row }]) => ({ table: table.name, where: 'memory' as const, only, row: textOf(row) }))
      return [
        ...onlyIn(stored, { other: replayed, only: 'stored' }),
        ...onlyIn(replayed, { other: stored, only: 'replayed' }),
      ]
    })
  }

  #letterDifferences(): string[] {
    const describe = (run: ProjectionRun) =>
      new Set(
        [...run.deadLetters.values()]
          .filter(({ position }) => position <= this.#position)
          .map(
            ({ projection, stream, position }) =>
              `projection "${projection}", stream "${stream}", position ${position}`,
          ),
      )
    const stored = describe(this.#check.live)
    const replayed = describe(this.#run)
    return [...[...stored].filter((text) => !replayed.has(text)), ...[...replayed].filter((text) => !stored.has(text))]
  }
}

function textOf(row: object): string {
  return JSON.stringify(row, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
}
