import { randomBytes } from 'node:crypto'
import type { LogReader } from '../eventstore/log-reader.ts'
import { type CatchUpProgress, catchUp } from './catch-up.ts'
import type { DeadLetter } from './dead-letters.ts'
import { PartialTables } from './partial-tables.ts'
import type { Projection } from './projection.ts'
import { PresumedLetters } from './presumed-letters.ts'
import { type Decode, ProjectionRun } from './projection-run.ts'
import { readResumptions } from './resumption.ts'
import { ownSchema } from './scratch-schema.ts'
import { createTables, readAllColumns } from './projection-tables.ts'
import { sameRow } from './row-history.ts'
import { columnsOf, type RunTarget } from './run-target.ts'
import type { AnyTable } from './table.ts'

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
  /** The live ones. */
  readonly projections: readonly Projection[]
  /** The others, each compared as far as its tables are. */
  readonly background: readonly { readonly projection: Projection; readonly position: bigint }[]
  readonly decode: Decode
  readonly sql: ReadonlyMap<Projection, string>
  readonly target: RunTarget
  readonly reader: LogReader
  /** The rows in memory. */
  readonly live: ProjectionRun
  readonly letters: readonly DeadLetter[]
  readonly position: () => bigint
  readonly onProgress?: (progress: CatchUpProgress) => void
  readonly signal?: AbortSignal
}

const listedDifferences = 20
const memoryTries = 50
const backgroundRows = 50_000

interface BackgroundReplay {
  readonly projection: Projection
  readonly position: bigint
  readonly run: ProjectionRun
  readonly partial: PartialTables
}

/** Replays all projections from position 0 into a schema of their own and compares every version of every row. */
export async function replayCheck(check: ReplayCheck): Promise<ReplayReport> {
  const { pool } = check.target
  await using scratch = await ownSchema(pool, { name: `replay_${randomBytes(8).toString('hex')}` })
  const { client, name: schema } = scratch
  const projections = [...check.projections, ...check.background.map(({ projection }) => projection)]
  await client.query('begin')
  for (const projection of projections) {
    await createTables(client, projection, { schema, sql: check.sql.get(projection) ?? '' })
  }
  await client.query('commit')
  const columns = await readAllColumns(client, { schema, projections })
  const resumptions = await Promise.all(projections.map((each) => readResumptions(check.reader, each)))
  const presumed = new PresumedLetters(check.letters, resumptions.flat())
  return await new Replay(check, { pool, schema, columns }, presumed).compare()
}

class Replay {
  readonly #check: ReplayCheck
  readonly #shadow: RunTarget
  readonly #run: ProjectionRun
  readonly #background: readonly BackgroundReplay[]
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
    this.#background = check.background.map((each) => ({ ...each, ...this.#backgroundRun(each.projection, presumed) }))
  }

  async compare(): Promise<ReplayReport> {
    await this.#replayTo(this.#check.position())
    // Rows in memory can only be compared while both sides stand at the same event.
    for (let tries = 1; this.#position !== this.#check.position() && tries < memoryTries; tries += 1) {
      await this.#replayTo(this.#check.position())
    }
    for (const each of this.#background) await this.#replayBackground(each)
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

  #backgroundRun(projection: Projection, presumed: PresumedLetters) {
    const partial = new PartialTables({ maxRows: backgroundRows })
    const { decode } = this.#check
    const check = (table: AnyTable, row: object) => columnsOf(this.#shadow, table).check(row)
    const parts = { projections: [projection], decode, check, onQuarantine: () => undefined, presumed, partial }
    return { run: new ProjectionRun(parts), partial }
  }

  async #replayBackground({ projection, position, run, partial }: BackgroundReplay): Promise<void> {
    const { reader, signal } = this.#check
    const only = new Set([projection])
    const aborted = signal === undefined ? {} : { signal }
    const work = { run, only, partial, target: this.#shadow, reader, from: -1n, to: position, record: () => [] }
    await catchUp({ ...work, ...aborted })
  }

  /** Up to where a table can be compared. */
  #comparedTo(table: AnyTable): bigint {
    const behind = this.#background.find(({ projection }) => Object.values(projection.tables).includes(table))
    return behind?.position ?? this.#position
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
    }>(text, [this.#comparedTo(table)])
    const [row] = rows
    const differences = (row?.listed ?? []).map((each) => ({ ...each, table: table.name, where: 'table' as const }))
    return { versions: row?.versions ?? 0n, count: row?.count ?? 0n, differences }
  }

  #memoryDifferences(): ReplayDifference[] {
    const tables = this.#check.projections.flatMap((projection) => Object.values(projection.tables))
    return tables.flatMap((table) => {
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
    const describe = (letters: readonly DeadLetter[]) =>
      new Set(
        letters
          .filter(({ position }) => position <= this.#position)
          .map(
            ({ projection, stream, position }) =>
              `projection "${projection}", stream "${stream}", position ${position}`,
          ),
      )
    const runs = [this.#run, ...this.#background.map(({ run }) => run)]
    const stored = describe(this.#check.letters)
    const replayed = describe(runs.flatMap((run) => [...run.deadLetters.values()]))
    return [...[...stored].filter((text) => !replayed.has(text)), ...[...replayed].filter((text) => !stored.has(text))]
  }
}

function textOf(row: object): string {
  return JSON.stringify(row, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
}
