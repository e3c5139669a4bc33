import * as v from 'valibot'
import { type BlockJobStart, type HypervisorJob, type HypervisorJobStatus, layerNode } from '../driver/driver.ts'
import { abortFault } from '../util/abort-fault.ts'
import { Fault } from '../util/fault.ts'
import { blockTimeoutMs } from './block-nodes.ts'
import type { DomainSession } from './domain-session.ts'
import { hypervisorJobStatus } from './job-status.ts'
import { QmpError } from './qmp-error.ts'
import { parseQmpValue, wideUnsigned } from './qmp-message.ts'

const jobsReply = v.array(
  v.object({
    id: v.string(),
    status: hypervisorJobStatus,
    'current-progress': wideUnsigned,
    'total-progress': wideUnsigned,
    error: v.optional(v.string()),
  }),
)

// Between READY and PENDING the last blocks are copied; the guest may write as fast as it likes.
const phaseTimeoutMs = blockTimeoutMs

/** A number for QEMU out of a bigint; its own numbers are 64 bits wide, JSON's are exact to 2^53. */
export function qmpNumber(value: bigint, what: string): number {
  if (value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value)
  throw new Fault('invalid_arg', `Cannot use ${what} ${value}: it must be from 0 to ${Number.MAX_SAFE_INTEGER}`)
}

/** Starts a job that stops before its end: QEMU neither finalizes nor forgets it until told to, so that each step can be recorded before it is taken. */
export async function startJob(session: DomainSession, job: BlockJobStart, signal: AbortSignal): Promise<void> {
  const options = { signal, timeoutMs: blockTimeoutMs }
  const common = {
    'job-id': job.jobId,
    'auto-finalize': false,
    'auto-dismiss': false,
    ...(job.bytesPerSecond === 0n ? {} : { speed: qmpNumber(job.bytesPerSecond, 'speed') }),
  }
  switch (job.kind) {
    case 'pull': {
      // QEMU writes the base's name into the header of the top; ours is the path that the chain is recorded with.
      const base = job.base === null ? {} : { 'base-node': layerNode(job.base.index), 'backing-file': job.base.path }
      await session.execute('block-stream', { device: layerNode(job.top.index), ...base, ...common }, options)
      return
    }
    case 'commit': {
      const range = {
        'top-node': layerNode(job.top.index),
        'base-node': layerNode(job.base.index),
        'backing-file': job.base.path,
      }
      await session.execute('block-commit', { device: layerNode(job.active.index), ...range, ...common }, options)
      return
    }
    case 'active_commit': {
      const base = { 'base-node': layerNode(job.base.index) }
      await session.execute('block-commit', { device: layerNode(job.top.index), ...base, ...common }, options)
    }
  }
}

/** Jobs as QEMU has them, concluded ones that nobody dismissed included. */
export async function queryDomainJobs(session: DomainSession, signal: AbortSignal): Promise<readonly HypervisorJob[]> {
  const jobs = parseQmpValue(await session.execute('query-jobs', {}, { signal }), {
    shape: jobsReply,
    of: 'query-jobs',
  })
  return jobs.map((job) => ({
    jobId: job.id,
    status: job.status,
    currentBytes: job['current-progress'],
    totalBytes: job['total-progress'],
    error: job.error ?? null,
  }))
}

/** READY -> PENDING. Returns when both sides are equal and the guest's writes wait. Throws Fault when the job ends instead. */
export async function completeDomainJob(session: DomainSession, jobId: string, signal: AbortSignal): Promise<void> {
  const act = async (): Promise<unknown> =>
    await session.execute('job-complete', { id: jobId }, { signal, timeoutMs: blockTimeoutMs })
  const status = await actAndWait(session, jobId, { act, until: ['pending', 'concluded', 'null'], signal })
  if (status !== 'pending') await throwOutcome(session, { jobId, action: 'complete', signal })
}

/** PENDING -> concluded. Throws Fault when it concluded in failure. */
export async function finalizeDomainJob(session: DomainSession, jobId: string, signal: AbortSignal): Promise<void> {
  const act = async (): Promise<unknown> =>
    await session.execute('job-finalize', { id: jobId }, { signal, timeoutMs: blockTimeoutMs })
  await actAndWait(session, jobId, { act, until: ['concluded', 'null'], signal })
  const job = (await queryDomainJobs(session, signal)).find((known) => known.jobId === jobId)
  if (job === undefined || job.error !== null) await throwOutcome(session, { jobId, action: 'finalize', signal })
}

/** Ends a job without its effect, in whatever phase it is; one that has concluded already stays as it is. */
export async function cancelDomainJob(session: DomainSession, jobId: string, signal: AbortSignal): Promise<void> {
  const act = async (): Promise<void> => {
    try {
      await session.execute('job-cancel', { id: jobId }, { signal, timeoutMs: blockTimeoutMs })
    } catch (error) {
      const job =
        error instanceof QmpError
          ? (await queryDomainJobs(session, signal)).find((known) => known.jobId === jobId)
          : undefined
      if (job?.status !== 'concluded') throw error
    }
  }
  await actAndWait(session, jobId, { act, until: ['concluded', 'null'], signal })
}

interface Wait {
  readonly act: () => Promise<unknown>
  readonly until: readonly HypervisorJobStatus[]
  readonly signal: AbortSignal
}

/** Takes a step and waits for the phase that it leads to. Listens before it acts: the events may come before the answer. */
async function actAndWait(
  session: DomainSession,
  jobId: string,
  { act, until, signal }: Wait,
): Promise<HypervisorJobStatus> {
  const reached = Promise.withResolvers<HypervisorJobStatus>()
  const action = `wait for job "${jobId}"`
  const limit = AbortSignal.any([signal, AbortSignal.timeout(phaseTimeoutMs)])
  const onAbort = (): void => reached.reject(abortFault(limit, action))
  const settle = (status: HypervisorJobStatus): void => {
    if (until.includes(status)) reached.resolve(status)
  }
  reached.promise.catch(() => undefined) // when `act` fails first, nobody waits for it
  const onEnd = (): void => {
    reached.reject(new Fault('operation_failed', `Cannot ${action}: QEMU of "${session.options.name}" has ended`))
  }
  using _listening = session.listen({ onChange: (changed, status) => changed === jobId && settle(status), onEnd })
  limit.addEventListener('abort', onAbort, { once: true })
  try {
    await act()
    const known = (await queryDomainJobs(session, limit)).find((job) => job.jobId === jobId)
    settle(known?.status ?? 'null')
    return await reached.promise
  } finally {
    limit.removeEventListener('abort', onAbort)
  }
}

async function throwOutcome(
  session: DomainSession,
  { jobId, action, signal }: { readonly jobId: string; readonly action: string; readonly signal: AbortSignal },
): Promise<never> {
  const job = (await queryDomainJobs(session, signal)).find((known) => known.jobId === jobId)
  const why =
    job === undefined ? 'QEMU does not know it any more' : `it ended in failure: ${job.error ?? 'QEMU gives no reason'}`
  throw new Fault('operation_failed', `Cannot ${action} block job "${jobId}": ${why}`, { subject: jobId })
}
