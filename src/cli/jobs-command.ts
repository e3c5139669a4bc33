import { basename } from 'node:path'
import * as v from 'valibot'
import type { BlockJobRow } from '../../projections/block-jobs.ts'
import { exitCode } from './exit-code.ts'
import { findDomain, knownDomains, namesByUuid } from './find-domain.ts'
import { duration, localTime, utcTime } from './format-time.ts'
import { type History, openHistory } from './history.ts'
import type { Invocation } from './invocation.ts'
import { parseMoment } from './moment.ts'
import { type Output, toned } from './output.ts'
import { formatTable } from './text-table.ts'

const mostJobs = 100_000

const optionsSchema = v.object({
  all: v.optional(v.boolean(), false),
  failed: v.optional(v.boolean(), false),
  domain: v.optional(v.string()),
  since: v.optional(v.string()),
})

type JobRow = BlockJobRow & { readonly from_position: bigint; readonly [column: string]: unknown }

/** `chronovisor jobs`: block jobs that run, or ended. */
export async function jobsCommand(invocation: Invocation): Promise<number> {
  const options = v.parse(optionsSchema, invocation.options)
  const { out } = invocation
  const nowUs = invocation.nowUs()
  await using history = await openHistory(invocation.config)
  const jobs = await readJobs(history, { options, nowUs })
  const names = namesByUuid(await knownDomains(history))
  if (out.isJson) out.document(jobs.map((job) => documentOf(job, names)))
  else if (jobs.length > 0) showJobs(out, jobs, { names, nowUs })
  return jobs.length === 0 ? exitCode.nothing : exitCode.found
}

async function readJobs(
  history: History,
  { options, nowUs }: { readonly options: v.InferOutput<typeof optionsSchema>; readonly nowUs: bigint },
): Promise<readonly JobRow[]> {
  const position = (await history.head()).position
  const uuid =
    options.domain === undefined ? null : (await findDomain(history, { wanted: options.domain, position })).uuid
  const sinceUs = options.since === undefined ? 0n : await timeOf(history, { since: options.since, nowUs })
  // A time names the past, so it asks for the jobs that ended, too.
  const ended = options.all || options.failed || options.since !== undefined
  return await history.rows<JobRow>(
    `select * from block_jobs where to_position is null and ($1::text is null or domain_uuid = $1::text)
      and requested_at_us >= $2::int8 and ($3::bool or ended_at_us is null)
      and (not $4::bool or state in ('failed', 'lost'))
      order by requested_at_us, job_id limit ${mostJobs}`,
    [uuid, sinceUs, ended, options.failed],
  )
}

async function timeOf(
  history: History,
  { since, nowUs }: { readonly since: string; readonly nowUs: bigint },
): Promise<bigint> {
  const moment = parseMoment(since, nowUs)
  if (moment.kind === 'time') return moment.timeUs
  return (await history.event(await history.positionOf(moment, nowUs)))?.recordedAtUs ?? 0n
}

function showJobs(
  out: Output,
  jobs: readonly JobRow[],
  { names, nowUs }: { readonly names: ReadonlyMap<string, string>; readonly nowUs: bigint },
): void {
  const columns = ['REQUESTED', 'DOMAIN', 'DISK', 'KIND', 'STATE', 'TOOK', 'BY', 'JOB', 'WHY, ERROR'].map((title) => ({
    title,
  }))
  const rows = jobs.map((job) => [
    localTime(job.requested_at_us),
    names.get(job.domain_uuid) ?? job.domain_uuid,
    job.disk,
    job.kind,
    job.pivot_requested && job.state === 'running' ? 'running, then pivot' : job.state,
    duration((job.ended_at_us ?? nowUs) - job.requested_at_us),
    basename(job.requested_by),
    job.job_id,
    [job.reason, job.error].filter((text) => text !== null).join('; '),
  ])
  const [titles = '', ...lines] = formatTable(columns, rows)
  out.line(toned(out, 'heading', titles))
  lines.forEach((line, at) => out.line(isBad(jobs[at]) ? toned(out, 'bad', line) : line))
}

function isBad(job: JobRow | undefined): boolean {
  return job?.state === 'failed' || job?.state === 'lost'
}

function documentOf(job: JobRow, names: ReadonlyMap<string, string>): object {
  return {
    jobId: job.job_id,
    domain: names.get(job.domain_uuid) ?? null,
    domainUuid: job.domain_uuid,
    disk: job.disk,
    kind: job.kind,
    state: job.state,
    baseLayer: job.base_layer,
    topLayer: job.top_layer,
    onReady: job.on_ready,
    pivotRequested: job.pivot_requested,
    requestedBy: job.requested_by,
    reason: job.reason,
    requestedAt: utcTime(job.requested_at_us),
    endedAt: job.ended_at_us === null ? null : utcTime(job.ended_at_us),
    error: job.error,
    lastPosition: job.from_position,
  }
}
