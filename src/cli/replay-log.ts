import { openPool } from '../eventstore/connection-pool.ts'
import { LogReads } from '../eventstore/log-reads.ts'
import { clientConfig } from '../eventstore/postgres-client.ts'
import { errorCode } from '../protocol/error-codes.ts'
import { controlProcedures } from '../protocol/control-procedures.ts'
import { projections } from '../open-log.ts'
import { decodeRecorded } from '../readmodel/memory-read-models.ts'
import { readDeadLetters, readPosition } from '../readmodel/projection-book.ts'
import { ProjectionRun } from '../readmodel/projection-run.ts'
import { readProjectionSql } from '../readmodel/projection-sql.ts'
import { loadRows, readAllColumns } from '../readmodel/projection-tables.ts'
import type { Projection } from '../readmodel/projection.ts'
import { replayCheck } from '../readmodel/replay-check.ts'
import { withClient } from '../readmodel/with-client.ts'
import { ControlClient, DaemonRefusal } from './control-client.ts'
import { isRunning, readDaemonFile } from './daemon-file.ts'
import type { History } from './history.ts'
import type { Invocation } from './invocation.ts'
import { replayReportSchema, type ShownReplay } from './replay-report.ts'
import * as v from 'valibot'

/**
 * Replays the log and compares: the running daemon does it where it can, since only it has the rows in memory; else this
 * process, beside whoever writes, with the right to make a schema.
 */
export async function replayLog(history: History, config: Invocation['config']): Promise<ShownReplay> {
  return (await askDaemon(config)) ?? (await replayHere(history))
}

async function askDaemon(config: Invocation['config']): Promise<ShownReplay | null> {
  const daemon = config.database === null ? readDaemonFile(config.socketDir) : null
  if (daemon === null || !isRunning(daemon)) return null
  using client = await ControlClient.open(config)
  try {
    const { report } = await client.call(controlProcedures.replayCheck, {})
    return { ...v.parse(v.pipe(v.string(), v.parseJson(), replayReportSchema), report), memory: true }
  } catch (error) {
    if (error instanceof DaemonRefusal && error.code === errorCode.noSupport) return null
    throw error
  }
}

async function replayHere(history: History): Promise<ShownReplay> {
  const pool = openPool({ ...clientConfig(history.address, 'chronovisor replay'), max: 4 })
  try {
    const schema = 'public'
    const live = projections.filter((projection) => projection.live)
    const run = newRun(live)
    const { position } = await history.head()
    const { columns, letters, background } = await withClient(pool, async (client) => {
      const found = await readAllColumns(client, { schema, projections: live })
      for (const [table, tableColumns] of found) {
        await loadRows(client, { schema, columns: tableColumns, into: run.overlay(table).base, at: position })
      }
      const following = projections.filter((projection) => !projection.live)
      const reached = await Promise.all(
        following.map(async (projection) => ({ projection, position: await readPosition(client, projection) })),
      )
      return { columns: found, letters: await readDeadLetters(client, projections), background: reached }
    })
    const report = await replayCheck({
      projections: live,
      background: background.flatMap((each) =>
        each.position === null ? [] : [{ projection: each.projection, position: each.position }],
      ),
      ...{ decode: decodeRecorded, sql: await readProjectionSql(projections), live: run, letters },
      target: { pool, schema, columns },
      reader: new LogReads(pool),
      position: () => position,
    })
    // The rows loaded above stand for the daemon's memory; they are the table's, whose differences are listed already.
    const differences = report.differences.filter((difference) => difference.where === 'table')
    return { ...report, tables: [...report.tables], differences, deadLetters: [...report.deadLetters], memory: false }
  } finally {
    await pool.end()
  }
}

function newRun(live: readonly Projection[]): ProjectionRun {
  const ignore = (): void => undefined
  return new ProjectionRun({ projections: live, decode: decodeRecorded, check: ignore, onQuarantine: ignore })
}
