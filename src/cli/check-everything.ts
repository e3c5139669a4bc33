import type { BlockJobRow } from '../../projections/block-jobs.ts'
import type { OpenIntentRow } from '../../projections/open-intents.ts'
import { LogCorruptError } from '../eventstore/append-errors.ts'
import { controlProcedures } from '../protocol/control-procedures.ts'
import { type Hold, OverlapCheck } from './check-overlaps.ts'
import { type CheckResult, Findings } from './check-result.ts'
import { checkChains, checkJobEnds, type OpenJob, type RunningDomain } from './check-running.ts'
import { checkWholeLog } from './check-whole-log.ts'
import { ControlClient, DaemonRefusal } from './control-client.ts'
import { isRunning, readDaemonFile } from './daemon-file.ts'
import { knownDomains, namesByUuid } from './find-domain.ts'
import { duration } from './format-time.ts'
import type { History } from './history.ts'
import type { Invocation } from './invocation.ts'
import type { ShownReplay } from './replay-report.ts'

/** An intent may wait for its outcome as long as the slowest command takes; after that nobody works on it. */
const intentLimitUs = 120_000_000n

/** Which checks to make. */
export interface CheckOptions {
  readonly config: Invocation['config']
  /** Also those that read the whole log. */
  readonly wholeLog: boolean
  readonly nowUs: bigint
}

/** Every invariant that can be looked at from outside, in the order of their numbers as far as reading allows. */
export async function* checkEverything(history: History, options: CheckOptions): AsyncGenerator<CheckResult, void> {
  const log = options.wholeLog ? await checkWholeLog(history) : null
  if (log !== null) {
    yield* [log.refused, log.repeated, log.chain, log.tree]
    yield await checkReplay(history, options.config)
  }
  const before = await openJobs(history)
  const domains = await askHypervisors(options.config)
  // Only what had no end both before and after the hypervisors were asked can be compared with their answer.
  const after = new Set((await openJobs(history)).map((job) => job.jobId))
  const known = await knownJobIds(history, domains)
  yield checkChains(domains)
  yield checkJobEnds(
    before.filter((job) => after.has(job.jobId)),
    { domains, known },
  )
  yield await checkOverlaps(history)
  if (log !== null) yield log.mixed
  yield await checkIntents(history, options)
  yield await checkQuarantine(history)
}

/** I6: a replay from position 0 gives what serves. A log that cannot be read to its end cannot be replayed. */
async function checkReplay(history: History, config: Invocation['config']): Promise<CheckResult> {
  const { replayLog } = await import('./replay-log.ts')
  const findings = new Findings()
  const check = { id: 'I6', title: 'read models are those of a replay' }
  let report: ShownReplay
  try {
    report = await replayLog(history, config)
  } catch (error) {
    if (!(error instanceof LogCorruptError || error instanceof DaemonRefusal)) throw error
    findings.add(error.message)
    return findings.result({ ...check, note: 'the replay could not be made' })
  }
  for (const { name, differences } of report.tables) {
    if (differences > 0n) findings.add(`${name}: ${differences} differences; \`chronovisor replay --check\` shows them`)
  }
  if (!report.identical && report.tables.every(({ differences }) => differences === 0n)) {
    findings.add('the rows in memory or the quarantined streams differ; `chronovisor replay --check` shows them')
  }
  const extent = report.memory ? 'tables and memory' : 'tables'
  return findings.result({ ...check, note: `${extent}, up to @${report.position}` })
}

async function askHypervisors(config: Invocation['config']): Promise<readonly RunningDomain[] | null> {
  const daemon = config.database === null ? readDaemonFile(config.socketDir) : null
  if (daemon === null || !isRunning(daemon)) return null
  using client = await ControlClient.open(config)
  return (await client.call(controlProcedures.domainsCheck, {})).domains
}

async function openJobs(history: History): Promise<readonly OpenJob[]> {
  const rows = await history.rows<BlockJobRow & { readonly running: boolean; readonly [column: string]: unknown }>(
    `select j.*, exists (select 1 from domain_states s where s.domain_uuid = j.domain_uuid and s.to_position is null and s.domain_id > 0)
      as running from block_jobs j where j.to_position is null and j.ended_at_us is null order by j.requested_at_us`,
  )
  const names = rows.length === 0 ? new Map<string, string>() : namesByUuid(await knownDomains(history))
  return rows.map((row) => ({
    jobId: row.job_id,
    domain: names.get(row.domain_uuid) ?? row.domain_uuid,
    uuid: row.domain_uuid,
    disk: row.disk,
    state: row.state,
    running: row.running,
  }))
}

async function knownJobIds(history: History, domains: readonly RunningDomain[] | null): Promise<ReadonlySet<string>> {
  const asked = (domains ?? []).flatMap((domain) => domain.jobs)
  const rows = await history.rows<{ job_id: string }>(
    'select distinct job_id from block_jobs where job_id = any ($1::text[])',
    [asked],
  )
  return new Set(rows.map((row) => row.job_id))
}

/** I9, over every intent as long as it was open, and every block job from its request to its end. */
async function checkOverlaps(history: History): Promise<CheckResult> {
  const check = new OverlapCheck()
  for (const text of [intentHolds, jobHolds]) {
    let after = -1n
    for (;;) {
      const holds = await history.rows<Hold & { readonly [column: string]: unknown }>(text, [after, holdPage])
      for (const hold of holds) check.take(hold)
      after = holds.at(-1)?.from ?? after
      if (holds.length < holdPage) break
    }
  }
  return check.result()
}

const holdPage = 10_000

const intentHolds = `select 'domain ' || i.domain_uuid as what, 'command ' || i.command_id || ' (' || i.intent || ')' as holder,
    i.from_position as "from", i.to_position as "to", c.epoch
  from open_intents i join event e on e.pos = i.from_position join commit c using (commit_no)
  where i.from_position > $1::int8 order by i.from_position limit $2::int4`

// A job lives in the hypervisor, whichever daemon is there: its epoch ends nothing.
const jobHolds = `select 'disk ' || r.disk || ' of domain ' || r.domain_uuid as what, 'job ' || r.job_id as holder,
    r.from_position as "from", null::int4 as epoch,
    (select min(e.from_position) from block_jobs e where e.job_id = r.job_id and e.ended_at_us is not null) as "to"
  from block_jobs r where r.state = 'requested' and r.from_position > $1::int8 order by r.from_position limit $2::int4`

/** Intents are settled at once, or at the next start of the daemon. */
async function checkIntents(history: History, { config, nowUs }: CheckOptions): Promise<CheckResult> {
  const title = 'no intent is left without an outcome'
  const rows = await history.rows<OpenIntentRow & { readonly [column: string]: unknown }>(
    'select * from open_intents where to_position is null order by requested_at_us',
  )
  const daemon = config.database === null ? readDaemonFile(config.socketDir) : null
  if (rows.length > 0 && (daemon === null || !isRunning(daemon))) {
    return {
      id: 'intents',
      title,
      state: 'skipped',
      findings: [],
      note: `${rows.length} wait for the next start of the daemon`,
    }
  }
  const findings = new Findings()
  for (const { domain_uuid: uuid, intent, command_id: commandId, requested_at_us: sinceUs } of rows) {
    if (nowUs - sinceUs > intentLimitUs) {
      findings.add(
        `${intent} of domain ${uuid} by command ${commandId} has had no outcome for ${duration(nowUs - sinceUs)}`,
      )
    }
  }
  return findings.result({ id: 'intents', title, note: `${rows.length} open` })
}

async function checkQuarantine(history: History): Promise<CheckResult> {
  const rows = await history.rows<{ projection: string; stream: string; position: bigint; error: string }>(
    'select projection, stream, position, error from dead_letter order by position',
  )
  const findings = new Findings()
  for (const { projection, stream, position, error } of rows) {
    findings.add(`${projection} has not followed ${stream} since @${position}: ${error}`)
  }
  return findings.result({ id: 'streams', title: 'every read model follows every stream', note: '' })
}
