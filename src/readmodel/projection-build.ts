import { setImmediate as nextTurn } from 'node:timers/promises'
import type pg from 'pg'
import type { LogReader } from '../eventstore/log-reader.ts'
import { postgresFailure } from '../eventstore/postgres-failure.ts'
import { BatchTaker } from './batch-taker.ts'
import { BuildRun, type CopiedLines } from './build-run.ts'
import { copyLines } from './copy-text.ts'
import type { DeadLetter } from './dead-letters.ts'
import { readHandledEvents } from './handled-events.ts'
import { PartialTables } from './partial-tables.ts'
import { PresumedLetters } from './presumed-letters.ts'
import { readDeadLetters } from './projection-book.ts'
import { projectionCode, tableNames } from './projection-code.ts'
import { type Decode, ProjectionRun } from './projection-run.ts'
import { createBareTables, createTables, readAllColumns } from './projection-tables.ts'
import type { Projection } from './projection.ts'
import { readMissedEvents, readResumptions } from './resumption.ts'
import { columnsOf, letterStatements, type RunTarget } from './run-target.ts'
import { ownSchema, type ScratchSchema } from './scratch-schema.ts'

/** How far a build is. */
export interface BuildProgress {
  readonly projection: string
  /** `filling` from the log, `indexing` what was filled, `following` what was appended meanwhile. */
  readonly phase: 'filling' | 'indexing' | 'following'
  readonly position: bigint
  readonly target: bigint
}

/** What a projection is built from, and where. */
export interface BuildParts {
  readonly pool: pg.Pool
  readonly reader: LogReader
  readonly projection: Projection
  readonly sql: string
  readonly decode: Decode
  readonly nowUs: () => bigint
  readonly onProgress?: (progress: BuildProgress) => void
  readonly signal?: AbortSignal
  /** Current rows that may be in memory; from then on the build goes on by way of the database. */
  readonly maxRows?: number
  /** Time after which there is a look at what else there is to do, in milliseconds. */
  readonly sliceMs?: number
}

const batchEvents = 1_000
/** A look at the clock costs a tenth of a small event. */
const eventsPerLook = 16
const flushChars = 2 << 20
const defaultMaxRows = 2_000_000
/** Nearer to the end of the log than this, what comes is taken in by ordinary batches. */
const nearEvents = 5_000n
const maxRounds = 100

/** The schema in which a projection is built. */
export function buildSchema(projection: Pick<Projection, 'name'>): string {
  return `build_${projection.name}`
}

/**
 * Builds a projection from position 0 into a schema of its own, up to near the end of the log, as a reader: the writer is not asked.
 * Afterwards it is ready to be compared, caught up and switched to. A build that fails, is cancelled or killed leaves nothing.
 */
export async function buildProjection(parts: BuildParts): Promise<ReadyBuild> {
  const schema = await ownSchema(parts.pool, { name: buildSchema(parts.projection) })
  try {
    const build = new Build(parts, schema)
    await build.run()
    schema.keep()
    return { schema: schema.name, position: build.position, letters: build.letters }
  } catch (error) {
    if (parts.signal?.aborted === true) throw error
    throw new Error(`Cannot build projection "${parts.projection.name}"`, { cause: error })
  } finally {
    await schema[Symbol.asyncDispose]()
  }
}

/** A finished build: its tables hold what the log says up to a position. */
export interface ReadyBuild {
  readonly schema: string
  readonly position: bigint
  readonly letters: number
}

class Build {
  position = -1n
  letters = 0
  readonly #parts: BuildParts
  readonly #schema: ScratchSchema
  #sliceStartMs = performance.now()

  constructor(parts: BuildParts, schema: ScratchSchema) {
    this.#parts = parts
    this.#schema = schema
  }

  async run(): Promise<void> {
    const { projection, reader, pool } = this.#parts
    const letters = await this.#presentLetters()
    const presumed = new PresumedLetters(letters, await readResumptions(reader, projection))
    try {
      await this.#fill(presumed)
    } catch (error) {
      if (postgresFailure(error) !== 'poison') throw error
      // The database refuses some row. Which event is to blame shows where each batch is written by itself, with all keys there.
      await this.#emptyTables()
    }
    await this.#follow(presumed)
    await pool.query(`update projection_build set state = 'ready' where name = $1::text and schema_name = $2::text`, [
      projection.name,
      this.#schema.name,
    ])
  }

  /** The letters that this very version has written. */
  async #presentLetters(): Promise<readonly DeadLetter[]> {
    const { client } = this.#schema
    const { name, version } = this.#parts.projection
    const { rowCount } = await client.query('select 1 from projection where name = $1::text and version = $2::int4', [
      name,
      version,
    ])
    return rowCount === 1 ? readDeadLetters(client, [this.#parts.projection]) : []
  }

  async #fill(presumed: PresumedLetters): Promise<void> {
    const { projection, sql, decode } = this.#parts
    const { client, name: schema } = this.#schema
    await client.query('begin')
    const finish = await createBareTables(client, projection, { schema, sql })
    await this.#enter()
    await client.query('commit')
    const columns = await readAllColumns(client, { schema, projections: [projection] })
    const run = new BuildRun({ projection, decode, columns, presumed })
    await this.#fillFrom(run)
    this.#report('indexing', this.position)
    for (const lines of run.takeCurrent()) await this.#copy(lines)
    await client.query('begin')
    await finish()
    for (const { sql: text, values } of letterStatements(lettersByKey(run), { schema })) {
      await client.query(text, [...values])
    }
    await this.#move()
    await client.query('commit')
    this.letters = run.letters.size
  }

  async #fillFrom(run: BuildRun): Promise<void> {
    const { reader, projection, signal, maxRows = defaultMaxRows } = this.#parts
    let writing: Promise<void> = Promise.resolve()
    for (let round = 0; round < maxRounds; round += 1) {
      const target = await this.#end()
      if (round > 0 && target - this.position < nearEvents) break
      const reading = { projections: [projection], from: this.position + 1n, to: target, batchEvents }
      for await (const batch of readHandledEvents(reader, reading)) {
        signal?.throwIfAborted()
        for (const [at, event] of batch.events.entries()) {
          const resumption = run.resumed(event)
          if (resumption === null) run.take(event)
          else {
            const { stream, position: from } = resumption
            const missed = { projection: projection.name, stream, from, end: resumption.at.position }
            run.resume(resumption, await readMissedEvents(reader, missed))
          }
          if (at % eventsPerLook === 0) await this.#rest()
        }
        this.position = batch.through
        this.#report('filling', target)
        if (run.pendingChars >= flushChars) {
          await writing
          const ended = run.takeEnded()
          writing = this.#copyAll(ended)
          writing.catch(() => undefined) // awaited before the next one
        }
        if (run.heldRows > maxRows) {
          await writing
          return await this.#copyAll(run.takeEnded())
        }
      }
    }
    await writing
    await this.#copyAll(run.takeEnded())
  }

  /** From here on as a background projection: what a batch needs is loaded, what it changes written, with the position. */
  async #follow(presumed: PresumedLetters): Promise<void> {
    const { projection, pool, reader, decode, signal, maxRows = defaultMaxRows } = this.#parts
    const { name: schema, client } = this.#schema
    const columns = await readAllColumns(client, { schema, projections: [projection] })
    const target = { pool, schema, columns }
    const followed = followBuild({ projection, target, reader, decode, presumed, maxRows })
    followed.run.letters.replace(projection.name, await readDeadLetters(client, [projection], { schema }))
    for (let round = 0; round < maxRounds; round += 1) {
      const to = await this.#end()
      if (to - this.position < (round === 0 ? 1n : nearEvents)) break
      const reading = { projections: [projection], from: this.position + 1n, to, batchEvents }
      for await (const batch of readHandledEvents(reader, reading)) {
        signal?.throwIfAborted()
        await followed.taker.take(batch, this.position)
        this.position = batch.through
        this.#report('following', to)
      }
    }
    this.letters = followed.run.deadLetters.size
  }

  /** Starts over with the keys in place. */
  async #emptyTables(): Promise<void> {
    const { projection, sql } = this.#parts
    const { client, name: schema } = this.#schema
    this.position = -1n
    await client.query('rollback')
    await this.#schema.empty()
    await client.query('begin')
    await createTables(client, projection, { schema, sql })
    await this.#enter()
    await client.query('commit')
  }

  async #enter(): Promise<void> {
    const { projection, sql, nowUs } = this.#parts
    const { client, name: schema } = this.#schema
    await client.query(`create table "${schema}".dead_letter (like public.dead_letter including all)`)
    await client.query(
      `insert into projection_build (name, schema_name, version, code, state, position, started_at_us, tables)
        values ($1::text, $2::text, $3::int4, $4::text, 'filling', -1, $5::int8, $6::text[])
        on conflict (name) do update set version = excluded.version, code = excluded.code, state = excluded.state,
          position = excluded.position, started_at_us = excluded.started_at_us, tables = excluded.tables`,
      [projection.name, schema, projection.version, projectionCode(projection, sql), nowUs(), tableNames(projection)],
    )
  }

  async #move(): Promise<void> {
    const { name } = this.#parts.projection
    const text = 'update projection_build set position = $2::int8 where name = $1::text'
    await this.#schema.client.query(text, [name, this.position])
  }

  async #copyAll(all: readonly CopiedLines[]): Promise<void> {
    for (const lines of all) await this.#copy(lines)
  }

  async #copy({ table, columnList, lines }: CopiedLines): Promise<void> {
    const { client, name: schema } = this.#schema
    await copyLines(client, lines, { table: `"${schema}"."${table.name}"`, columnList })
  }

  async #end(): Promise<bigint> {
    const { rows } = await this.#parts.pool.query<{ last: bigint | null }>('select max(last_pos) as last from commit')
    return rows[0]?.last ?? -1n
  }

  async #rest(): Promise<void> {
    if (performance.now() - this.#sliceStartMs < (this.#parts.sliceMs ?? 5)) return
    await nextTurn()
    this.#sliceStartMs = performance.now()
  }

  #report(phase: BuildProgress['phase'], target: bigint): void {
    this.#parts.onProgress?.({ projection: this.#parts.projection.name, phase, position: this.position, target })
  }
}

/** What keeps a build up with the log: its run, and what takes batches into its tables. */
export interface FollowedBuild {
  readonly run: ProjectionRun
  readonly taker: BatchTaker
}

/** Prepares to follow the log with a build. With `maxRows` rows are loaded when they are needed; without it the caller loads them all. */
export function followBuild(parts: {
  readonly projection: Projection
  readonly target: RunTarget
  readonly reader: LogReader
  readonly decode: Decode
  readonly presumed: PresumedLetters
  readonly maxRows?: number
}): FollowedBuild {
  const { projection, target, maxRows } = parts
  const partial = maxRows === undefined ? {} : { partial: new PartialTables({ maxRows }) }
  const run: ProjectionRun = new ProjectionRun({
    projections: [projection],
    decode: parts.decode,
    check: (table, row) => columnsOf(target, table).check(row),
    onQuarantine: () => undefined,
    presumed: parts.presumed,
    ...partial,
  })
  const taker = new BatchTaker({
    ...{ run, target, reader: parts.reader, ...partial },
    only: new Set([projection]),
    lazily: true,
    record: ({ from, to }) => [
      {
        name: 'build_moved',
        sql: `update projection_build set position = $2::int8 where name = $1::text and position = $3::int8 returning 1`,
        values: [projection.name, String(to), String(from)],
        expectedRows: 1,
      },
      ...letterStatements(run.letters.changes, { schema: target.schema }),
    ],
  })
  return { run, taker }
}

function lettersByKey({ letters }: BuildRun): ReadonlyMap<string, DeadLetter> {
  return letters
}
