import { controlProcedures } from '../protocol/control-procedures.ts'
import { ControlClient } from './control-client.ts'
import { type DaemonFile, isRunning, readDaemonFile } from './daemon-file.ts'
import { exitCode } from './exit-code.ts'
import { byteSize, duration, localTime, utcTime } from './format-time.ts'
import { type History, openHistory } from './history.ts'
import type { Invocation } from './invocation.ts'
import { formatFields } from './text-table.ts'

/** What the database says of the log and of what it tells of. */
interface LogStatus {
  readonly server: string
  readonly position: bigint
  readonly lastUs: bigint
  readonly epoch: number
  readonly createdUs: bigint
  readonly sizeBytes: bigint
  readonly defined: number
  readonly running: number
  readonly jobs: number
  readonly behind: readonly string[]
  readonly deadLetters: number
}

type Answer = { readonly uptimeMs: bigint } | { readonly error: string }

/** `chronovisor status`: the daemon, its database and its log. Ends with 2 where a daemon should answer and does not. */
export async function statusCommand(invocation: Invocation): Promise<number> {
  const { out, config } = invocation
  const daemon = config.database === null ? readDaemonFile(config.socketDir) : null
  await using history = await openHistory(config)
  const log = await readLogStatus(history)
  const answer = daemon === null ? null : await ask(daemon, config)
  if (out.isJson) out.document(documentOf({ daemon, answer, log, history }))
  else
    out.lines(
      formatFields([...daemonFields(daemon, answer), ...logFields({ log, history, nowUs: invocation.nowUs() })]),
    )
  return answer !== null && 'error' in answer ? exitCode.error : exitCode.found
}

async function ask(daemon: DaemonFile, config: Invocation['config']): Promise<Answer> {
  if (!isRunning(daemon)) return { error: `process ${daemon.pid} has ended` }
  try {
    using client = await ControlClient.open(config)
    const { uptimeMs } = await client.call(controlProcedures.daemonStatus, {}, { quick: true })
    return { uptimeMs }
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) }
  }
}

async function readLogStatus(history: History): Promise<LogStatus> {
  const [row] = await history.rows<{
    server: string
    position: bigint
    last_us: bigint
    epoch: number
    created_us: bigint
    size: bigint
    defined: number
    running: number
    jobs: number
    behind: readonly string[]
    letters: number
  }>(
    `select current_setting('server_version') as server, c.last_pos as position, c.at_us as last_us, c.epoch,
      (select created_at_us from log) as created_us, pg_database_size(current_database()) as size,
      (select count(*)::int4 from domain_definitions where to_position is null) as defined,
      (select count(*)::int4 from domain_states where to_position is null and domain_id > 0) as running,
      (select count(*)::int4 from block_jobs where to_position is null and ended_at_us is null) as jobs,
      array(select name from projection where state <> 'live' order by name) as behind,
      (select count(*)::int4 from dead_letter) as letters
      from commit c order by commit_no desc limit 1`,
  )
  if (row === undefined) throw new Error('Cannot read the status of the log: it has no commit')
  const { last_us: lastUs, created_us: createdUs, size: sizeBytes, letters: deadLetters, ...rest } = row
  return { ...rest, lastUs, createdUs, sizeBytes, deadLetters }
}

function daemonFields(daemon: DaemonFile | null, answer: Answer | null): readonly (readonly [string, string])[] {
  if (daemon === null || answer === null) return [['daemon', 'none was asked: the database was named']]
  const state = 'error' in answer ? `does not answer: ${answer.error}` : `up ${duration(answer.uptimeMs * 1000n)}`
  return [
    ['daemon', `process ${daemon.pid}, version ${daemon.version}, ${state}`],
    ['driver', daemon.driver],
    ['clients', `virsh -c '${daemon.uri}'`],
    ['state', daemon.stateDir],
  ]
}

function logFields(shown: {
  readonly log: LogStatus
  readonly history: History
  readonly nowUs: bigint
}): readonly (readonly [string, string])[] {
  const { log, history, nowUs } = shown
  const readModels = log.behind.length === 0 ? 'up to date' : `not up to date: ${log.behind.join(', ')}`
  const letters = log.deadLetters === 0 ? '' : `, ${log.deadLetters} streams quarantined`
  return [
    ['database', `PostgreSQL ${log.server}, ${placeOf(history)}`],
    [
      'log',
      `ends at @${log.position} ${localTime(log.lastUs)} (${duration(nowUs - log.lastUs)} ago), epoch ${log.epoch}, ${byteSize(log.sizeBytes)}`,
    ],
    ['since', localTime(log.createdUs)],
    ['domains', `${log.defined} defined, ${log.running} running, ${log.jobs} block jobs`],
    ['read models', `${readModels}${letters}`],
  ]
}

function documentOf(shown: {
  readonly daemon: DaemonFile | null
  readonly answer: Answer | null
  readonly log: LogStatus
  readonly history: History
}): object {
  const { daemon, answer, log, history } = shown
  const { lastUs, createdUs, server, ...rest } = log
  const about =
    daemon === null
      ? null
      : {
          pid: daemon.pid,
          version: daemon.version,
          driver: daemon.driver,
          startedAt: daemon.startedAt,
          sockets: daemon.sockets,
          uri: daemon.uri,
          stateDir: daemon.stateDir,
          ...answer,
        }
  return {
    daemon: about,
    database: { server, place: placeOf(history) },
    log: { ...rest, lastAt: utcTime(lastUs), createdAt: utcTime(createdUs) },
  }
}

/** Where the database is, without a password. */
function placeOf({ address }: History): string {
  if (address.connectionString === undefined) return `${address.database ?? ''} at ${address.host ?? 'localhost'}`
  if (!URL.canParse(address.connectionString)) return 'as given'
  const { hostname, pathname, searchParams } = new URL(address.connectionString)
  return `${pathname.slice(1)} at ${searchParams.get('host') ?? hostname}`
}
