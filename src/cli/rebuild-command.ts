import type pg from 'pg'
import * as v from 'valibot'
import { openPool } from '../eventstore/connection-pool.ts'
import { LogReads } from '../eventstore/log-reads.ts'
import { clientConfig } from '../eventstore/postgres-client.ts'
import { projections } from '../open-log.ts'
import { controlProcedures } from '../protocol/control-procedures.ts'
import { type BuildComparison, compareBuild } from '../readmodel/compare-build.ts'
import { decodeRecorded } from '../readmodel/memory-read-models.ts'
import { buildProjection, buildSchema } from '../readmodel/projection-build.ts'
import { readProjections } from '../readmodel/projection-book.ts'
import { readProjectionSql } from '../readmodel/projection-sql.ts'
import type { Projection } from '../readmodel/projection.ts'
import { dropScratch, sweepScratch } from '../readmodel/scratch-schema.ts'
import { withClient } from '../readmodel/with-client.ts'
import { BuildNotes } from './build-notes.ts'
import { CliError } from './cli-error.ts'
import { ControlClient, runningDaemon } from './control-client.ts'
import { exitCode } from './exit-code.ts'
import { openHistory } from './history.ts'
import type { Invocation } from './invocation.ts'
import { type Output, toned } from './output.ts'
import { shorten } from './text-table.ts'

const optionsSchema = v.object({
  diff: v.optional(v.boolean(), false),
  prepare: v.optional(v.boolean(), false),
  reason: v.optional(v.string()),
})
const listedDifferences = 20
const longestRow = 300

type Wanted = 'switch' | 'diff' | 'prepare'

/**
 * `chronovisor rebuild`: builds a read model beside the one that serves, in this process, and reports every difference; then the daemon
 * puts it in place. With `--diff` that is all; with `--prepare` the build waits for the restart with this version.
 */
export async function rebuildCommand(invocation: Invocation): Promise<number> {
  const { diff, prepare, reason } = v.parse(optionsSchema, invocation.options)
  if (diff && prepare) throw new CliError('Cannot rebuild: give --diff or --prepare, not both')
  const wanted: Wanted = diff ? 'diff' : prepare ? 'prepare' : 'switch'
  const { config, out } = invocation
  if (wanted === 'switch') runningDaemon(config) // only a daemon can put it in place, and it is said before the work
  await using work = await openWork(invocation)
  const chosen = await choose(work, { name: invocation.args[0], wanted })
  const reports: object[] = []
  let different = false
  for (const projection of chosen) {
    const comparison = await work.build(projection, { keep: wanted !== 'diff' })
    different ||= !comparison.identical
    if (!out.isJson) show(out, comparison)
    const done = wanted === 'switch' ? await switchTo(invocation, { projection, reason }) : {}
    if (!out.isJson && wanted === 'prepare') {
      out.line(
        `${projection.name}: prepared up to @${comparison.position} for the start of the daemon with version ${projection.version}.`,
      )
    }
    reports.push({ ...comparison, ...done })
  }
  if (out.isJson) out.document({ rebuilt: reports })
  else if (chosen.length === 0)
    out.line('Every read model is of the version of this program: there is nothing to prepare.')
  if (chosen.length === 0) return exitCode.nothing
  return wanted === 'diff' && different ? exitCode.finding : exitCode.found
}

/** Connections for the work, and the builds that are made with them. */
interface Work extends AsyncDisposable {
  readonly pool: pg.Pool
  build(projection: Projection, options: { readonly keep: boolean }): Promise<BuildComparison>
}

async function openWork(invocation: Invocation): Promise<Work> {
  const { config } = invocation
  const nowUs = (): bigint => invocation.nowUs()
  const history = await openHistory(config)
  const pool = openPool({ ...clientConfig(history.address, 'chronovisor rebuild'), max: 4 })
  await history[Symbol.asyncDispose]()
  const stop = new AbortController()
  const cancel = (): void => stop.abort(new CliError('The rebuild was cancelled; nothing is left of it'))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, cancel)
  const sql = await readProjectionSql(projections)
  return {
    pool,
    async build(projection, { keep }) {
      using notes = new BuildNotes()
      await withClient(pool, (client) => sweepScratch(client, { nowUs: nowUs() }))
      const { position } = await buildProjection({
        ...{ pool, reader: new LogReads(pool), projection, decode: decodeRecorded, nowUs, signal: stop.signal },
        sql: sql.get(projection) ?? '',
        onProgress: (progress) => notes.tell(progress),
      })
      try {
        return await withClient(pool, (client) =>
          compareBuild(client, projection, { position, listed: listedDifferences }),
        )
      } finally {
        if (!keep) await withClient(pool, (client) => dropScratch(client, buildSchema(projection)))
      }
    },
    async [Symbol.asyncDispose]() {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, cancel)
      await pool.end()
    },
  }
}

/** Which projections are meant; what cannot be done with one is said before the work. */
async function choose(
  { pool }: Work,
  { name, wanted }: { readonly name: string | undefined; readonly wanted: Wanted },
): Promise<readonly Projection[]> {
  const serving = await withClient(pool, async (client) => {
    const { rows } = await client.query<{ made: boolean }>("select to_regclass('projection_build') is not null as made")
    if (rows[0]?.made !== true) {
      throw new CliError('Cannot rebuild: the schema of this log is older than this program, start its daemon once')
    }
    return await readProjections(client)
  })
  const versionOf = (projection: Projection) => serving.find((row) => row.name === projection.name)?.version
  if (name === undefined) {
    if (wanted !== 'prepare')
      throw new CliError('Cannot rebuild: name a read model; `chronovisor projections` lists them')
    return projections.filter((projection) => versionOf(projection) !== projection.version)
  }
  const projection = projections.find((each) => each.name === name)
  if (projection === undefined) {
    throw new CliError(`Cannot rebuild "${name}": there are ${projections.map((each) => each.name).join(', ')}`)
  }
  const version = versionOf(projection)
  if (wanted === 'switch' && version !== projection.version) {
    throw new CliError(
      `Cannot rebuild "${name}": what serves is version ${version ?? 'none'}, this program has version ${projection.version}; give --prepare and start the daemon with this program`,
    )
  }
  return [projection]
}

async function switchTo(
  { config, out }: Invocation,
  { projection, reason }: { readonly projection: Projection; readonly reason: string | undefined },
): Promise<object> {
  using client = await ControlClient.open(config, reason === undefined ? {} : { reason })
  const switched = await client.call(controlProcedures.projectionSwitch, { projection: projection.name })
  const { position, lockedMs, heldMs } = switched
  if (!out.isJson) {
    const text = `${projection.name}: switched at @${position}; readers waited at most ${lockedMs.toFixed(1)} ms, appends ${heldMs.toFixed(1)} ms.`
    out.line(toned(out, 'good', text))
  }
  return { switched: { position, lockedMs, heldMs } }
}

function show(out: Output, comparison: BuildComparison): void {
  const { projection, position, servingVersion, tables, removedTables, deadLetters, identical } = comparison
  for (const { name, versions, differences, addedColumns, removedColumns, listed } of tables) {
    const changed = [...addedColumns.map((each) => `+${each}`), ...removedColumns.map((each) => `-${each}`)]
    const columns = changed.length === 0 ? '' : `, columns ${changed.join(' ')}`
    const found = differences === 0n ? 'identical' : `${differences} differences`
    out.line(toned(out, differences === 0n ? 'good' : 'bad', `${name}: ${versions} versions, ${found}${columns}`))
    for (const { serving, built } of listed) {
      out.line(`  serves  ${shorten(serving ?? 'nothing', longestRow)}`)
      out.line(`  built   ${shorten(built ?? 'nothing', longestRow)}`)
    }
  }
  for (const name of removedTables) out.line(`${name}: is not built any more`)
  for (const { stream, serving, built } of deadLetters) {
    const at = (side: bigint | null): string => (side === null ? 'followed' : `quarantined from @${side} on`)
    out.line(`${stream}: ${at(serving)} in what serves, ${at(built)} in the build`)
  }
  const against =
    servingVersion === null ? 'nothing serves yet' : `compared with version ${servingVersion} up to @${position}`
  out.line(`${projection}: ${identical ? 'identical' : 'different'}, ${against}.`)
}
