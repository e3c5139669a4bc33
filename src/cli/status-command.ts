import { readLastCheckpoint } from '../last-checkpoint.ts'
import { readLastVerify } from '../last-verify.ts'
import type { LastCheckpoint, LastVerify } from '../metrics/metrics-source.ts'
import { CliError } from './cli-error.ts'
import { type DaemonFile, readDaemonFile } from './daemon-file.ts'
import { exitCode } from './exit-code.ts'
import { byteSize, duration, localTime, utcTime } from './format-time.ts'
import { type History, openHistory } from './history.ts'
import type { Invocation } from './invocation.ts'
import { formatFields } from './text-table.ts'
import { askWriter, type WriterStatus } from './writer-status.ts'

/** What the database says of the log and of what it tells of. */
interface LogStatus {
  readonly server: string
  readonly place: string
  readonly position: bigint
  readonly lastUs: bigint
  readonly epoch: number
  readonly createdUs: bigint
  readonly sizeBytes: bigint
  readonly defined: number
  readonly running: number
  readonly jobs: number
  readonly projections: readonly ProjectionState[]
}

/** How far a read model is, by what its tables say. */
interface ProjectionState {
  readonly name: string
  readonly version: number
  readonly state: string
  readonly position: bigint
  readonly lagEvents: bigint
  readonly lagSeconds: number
  readonly deadLetters: number
}

type Answer = WriterStatus | { readonly error: string }
type Field = readonly [name: string, value: string]

/** Everything that is shown. */
interface Shown {
  readonly daemon: DaemonFile | null
  readonly answer: Answer | null
  /** Null where the database does not answer; then `problem` says so. */
  readonly log: LogStatus | null
  readonly problem: string | null
  readonly checkpoint: LastCheckpoint | null
  readonly verify: LastVerify | null
  readonly nowUs: bigint
}

/** `chronovisor status`: the daemon, its database and its log. Ends with 2 where a daemon should answer and does not. */
export async function statusCommand(invocation: Invocation): Promise<number> {
  const { out, config } = invocation
  const daemon = config.database === null ? readDaemonFile(config.socketDir) : null
  const answer = daemon === null ? null : await askWriter(daemon, config)
  const nowUs = invocation.nowUs()
  const found = await look(config, nowUs).catch((error: unknown) => {
    if (answer === null || 'error' in answer || !(error instanceof CliError)) throw error
    return { log: null, problem: error.message }
  })
  const stateDir = daemon?.stateDir ?? config.stateDir
  const [checkpoint, verify] = [readLastCheckpoint(stateDir), readLastVerify(stateDir)]
  const shown: Shown = { ...found, daemon, answer, checkpoint, verify, nowUs }
  if (out.isJson) out.document(documentOf(shown))
  else out.lines(formatFields([...daemonFields(shown), ...logFields(shown)]))
  return found.problem !== null || (answer !== null && 'error' in answer) ? exitCode.error : exitCode.found
}

async function look(config: Invocation['config'], nowUs: bigint): Promise<Pick<Shown, 'log' | 'problem'>> {
  await using history = await openHistory(config)
  return { log: await readLogStatus(history, nowUs), problem: null }
}

async function readLogStatus(history: History, nowUs: bigint): Promise<LogStatus> {
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
  }>(
    `select current_setting('server_version') as server, c.last_pos as position, c.at_us as last_us, c.epoch,
      (select created_at_us from log) as created_us, pg_database_size(current_database()) as size,
      (select count(*)::int4 from domain_definitions where to_position is null) as defined,
      (select count(*)::int4 from domain_states where to_position is null and domain_id > 0) as running,
      (select count(*)::int4 from block_jobs where to_position is null and ended_at_us is null) as jobs
      from commit c order by commit_no desc limit 1`,
  )
  if (row === undefined) throw new Error('Cannot read the status of the log: it has no commit')
  const { last_us: lastUs, created_us: createdUs, size: sizeBytes, ...rest } = row
  return {
    ...rest,
    place: placeOf(history),
    lastUs,
    createdUs,
    sizeBytes,
    projections: await readProjections(history, nowUs),
  }
}

async function readProjections(history: History, nowUs: bigint): Promise<readonly ProjectionState[]> {
  const rows = await history.rows<{
    name: string
    version: number
    state: string
    position: bigint
    head: bigint
    letters: number
    oldest_us: bigint | null
  }>(
    `select p.name, p.version, p.state, coalesce(p.position, h.last) as position, h.last as head,
      (select count(*)::int4 from dead_letter d where d.projection = p.name) as letters,
      (select at_us from commit where last_pos > p.position order by last_pos limit 1) as oldest_us
      from projection p, (select max(last_pos) as last from commit) h order by p.name`,
  )
  return rows.map(({ name, version, state, position, head, letters, oldest_us: oldestUs }) => ({
    ...{ name, version, state, position, deadLetters: letters, lagEvents: head - position },
    lagSeconds: oldestUs === null || oldestUs > nowUs ? 0 : Number(nowUs - oldestUs) / 1e6,
  }))
}

function daemonFields({ daemon, answer }: Shown): readonly Field[] {
  if (daemon === null || answer === null) return [['daemon', 'none was asked: the database was named']]
  const state = 'error' in answer ? `does not answer: ${answer.error}` : `up ${duration(answer.uptimeMs * 1000n)}`
  return [
    ['daemon', `process ${daemon.pid}, version ${daemon.version}, ${state}`],
    ['driver', daemon.driver],
    ['clients', `virsh -c '${daemon.uri}'`],
    ['gRPC', daemon.grpc ?? 'not served (--grpc)'],
    ['metrics', daemon.metrics ?? 'not served (--metrics)'],
    ['feed', daemon.sockets.logFeed ?? 'not served'],
    ['state', daemon.stateDir],
    ...('error' in answer ? [] : writerFields(answer.log)),
  ]
}

function writerFields({ unavailable, queued, subscriptions, rolesProblem }: WriterStatus['log']): readonly Field[] {
  const { count, lagEvents } = subscriptions
  const behind = lagEvents === 0n ? '' : `, the slowest ${lagEvents} events behind`
  return [
    ['appends', unavailable ?? `possible, ${queued.count} waiting with ${byteSize(BigInt(queued.bytes))}`],
    ['subscribers', `${count}${behind}`],
    [
      'rights',
      rolesProblem === null ? 'the writer may add to the log, not change it' : `those of the owner: ${rolesProblem}`,
    ],
  ]
}

function logFields({ log, problem, checkpoint, verify, nowUs }: Shown): readonly Field[] {
  const ago = (timeUs: bigint): string => `${localTime(timeUs)} (${duration(nowUs > timeUs ? nowUs - timeUs : 0n)} ago)`
  const signed: readonly Field[] = [
    ['checkpoint', checkpoint === null ? 'none' : `over ${checkpoint.size} events, ${ago(checkpoint.atUs)}`],
    ['verified', verify === null ? 'never (chronovisor verify)' : `${resultOf(verify)}, ${ago(verify.atUs)}`],
  ]
  if (log === null) return [['database', problem ?? ''], ...signed]
  return [
    ['database', `PostgreSQL ${log.server}, ${log.place}`],
    ['log', `ends at @${log.position} ${ago(log.lastUs)}, epoch ${log.epoch}, ${byteSize(log.sizeBytes)}`],
    ['since', localTime(log.createdUs)],
    ...signed,
    ['domains', `${log.defined} defined, ${log.running} running, ${log.jobs} block jobs`],
    ['read models', readModelsText(log.projections)],
  ]
}

function resultOf({ findings, events, seconds }: LastVerify): string {
  const found = findings === 0 ? 'in order' : `${findings} FINDINGS`
  return `${found}, ${events} events in ${duration(BigInt(Math.round(seconds * 1e6)))}`
}

function readModelsText(projections: readonly ProjectionState[]): string {
  const behind = projections.filter(
    ({ state, lagEvents }) => lagEvents > 0n || state === 'building' || state === 'behind',
  )
  const letters = projections.reduce((sum, { deadLetters }) => sum + deadLetters, 0)
  const said = behind.map(
    ({ name, state, lagEvents, lagSeconds }) =>
      `${name} (${state}, ${lagEvents} events, ${duration(BigInt(Math.round(lagSeconds * 1e6)))} behind)`,
  )
  const state = behind.length === 0 ? `${projections.length} up to date` : `not up to date: ${said.join(', ')}`
  return letters === 0 ? state : `${state}, ${letters} streams quarantined`
}

function documentOf({ daemon, answer, log, problem, checkpoint, verify }: Shown): object {
  return {
    daemon: daemon === null ? null : aboutDaemon(daemon, answer),
    database: log === null ? { error: problem } : { server: log.server, place: log.place },
    log: log === null ? null : aboutLog(log),
    checkpoint: checkpoint === null ? null : { size: checkpoint.size, at: utcTime(checkpoint.atUs) },
    verify: verify === null ? null : withTime(verify),
  }
}

function aboutDaemon(daemon: DaemonFile, answer: Answer | null): object {
  const { pid, version, driver, startedAt, sockets, grpc, metrics, uri, stateDir } = daemon
  return {
    pid,
    version,
    driver,
    startedAt,
    sockets,
    grpc: grpc ?? null,
    metrics: metrics ?? null,
    uri,
    stateDir,
    ...answer,
  }
}

function aboutLog({ lastUs, createdUs, ...rest }: LogStatus): object {
  const deadLetters = rest.projections.reduce((sum, each) => sum + each.deadLetters, 0)
  return { ...rest, deadLetters, lastAt: utcTime(lastUs), createdAt: utcTime(createdUs) }
}

function withTime({ atUs, ...rest }: LastVerify): object {
  return { ...rest, at: utcTime(atUs) }
}

/** Where the database is, without a password. */
function placeOf({ address }: History): string {
  if (address.connectionString === undefined) return `${address.database ?? ''} at ${address.host ?? 'localhost'}`
  if (!URL.canParse(address.connectionString)) return 'as given'
  const { hostname, pathname, searchParams } = new URL(address.connectionString)
  return `${pathname.slice(1)} at ${searchParams.get('host') ?? hostname}`
}
