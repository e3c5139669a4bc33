import type { BlockJobStart, DiskLayer } from '../driver/driver.ts'
import type { OwnershipChange } from '../driver/images.ts'
import { newFact } from '../events/catalogue.ts'
import { domainStream } from '../events/stream-names.ts'
import { decideBlockJob } from '../model/block-job.ts'
import type { Layer } from '../model/chain.ts'
import { jobIdOf } from '../model/job-id.ts'
import type { Claim } from '../model/claims.ts'
import { type Domain, requireRunning } from '../model/domain.ts'
import { Fault, isFault } from '../util/fault.ts'
import type { Caller } from './caller.ts'
import type { CommitRequest } from './commands.ts'
import { requireKnown } from './define-domain.ts'
import { activeOf, type BlockJobChoice, type Chain, chooseCommit, choosePull } from './choose-block-job.ts'
import { chainOfDisk } from './find-layer.ts'
import type { Host } from './host.ts'
import { takeClaims } from './image-claims.ts'
import { domainIn, record } from './record.ts'
import { runCommand, type Task } from './run-command.ts'

/** A job as decided, before its intent is recorded. */
interface Plan {
  readonly uuid: string
  readonly disk: string
  readonly kind: BlockJobStart['kind']
  readonly active: Layer
  readonly top: Layer
  readonly base: Layer | null
  readonly bytesPerSecond: bigint
  readonly owners: readonly OwnershipChange[]
  /** Files that QEMU will write to: no other domain may use them while this one runs. */
  readonly written: readonly Layer[]
}

/** Pulls what lies below the active image, down to above `base`, into it. Returns the job's id. */
export async function pullBlocks(
  host: Host,
  caller: Caller,
  request: {
    readonly uuid: string
    readonly disk: string
    readonly base: string | null
    readonly bytesPerSecond: bigint
  },
): Promise<string> {
  return await startJob(host, caller, {
    ...request,
    choose: (chain) => choosePull(chain, request.base),
  })
}

/** Merges layers down into `base`; from the active image on when it is the top (then the job waits at READY for a pivot). */
export async function commitBlocks(host: Host, caller: Caller, request: CommitRequest): Promise<string> {
  return await startJob(host, caller, { ...request, choose: (chain) => chooseCommit(chain, request) })
}

async function startJob(
  host: Host,
  caller: Caller,
  request: {
    readonly uuid: string
    readonly disk: string
    readonly bytesPerSecond: bigint
    readonly choose: (chain: Chain) => BlockJobChoice
  },
): Promise<string> {
  const { uuid } = request
  return await runCommand(host, { caller, uuid, subject: `${uuid} ${request.disk}` }, async (task) => {
    requireKnown(host, uuid)
    if (host.reads.byUuid(uuid)?.active !== true) throw new Fault('operation_invalid', 'domain is not running')
    const chain = chainOfDisk(host.reads.chains(uuid).byDisk, request.disk)
    const choice = request.choose(chain)
    const owners = await host.images.planAccess(choice.written.map((layer) => ({ path: layer.path, write: true })))
    const plan: Plan = {
      ...choice,
      uuid,
      disk: chain.target,
      active: activeOf(chain),
      bytesPerSecond: request.bytesPerSecond,
      owners,
    }
    const jobId = jobIdOf(task.context.commandId)
    await recordIntent(host, task, { plan, jobId })
    await host.reach('job.requested')
    await act(host, task, { plan, jobId })
    return jobId
  })
}

async function recordIntent(
  host: Host,
  task: Task,
  what: { readonly plan: Plan; readonly jobId: string },
): Promise<void> {
  const { plan, jobId } = what
  await record(host, task.context, {
    kind: 'intent',
    decide: (turn) => {
      const domain = domainIn(turn, plan.uuid)
      requireRunning(domain)
      requireSameChain(domain, plan)
      const data = {
        jobId,
        disk: plan.disk,
        kind: plan.kind,
        base: plan.base?.index ?? -1,
        top: plan.top.index,
        onReady: plan.kind === 'active_commit' ? task.context.caller.onReady : ('keep' as const),
        bytesPerSecond: plan.bytesPerSecond,
        owners: [...plan.owners],
      }
      const requested = decideBlockJob({ kind: 'request', data }, domain.jobs)
      return [{ stream: domainStream(plan.uuid), facts: requested }, ...takeClaims(turn, claimsOf(plan))]
    },
  })
  task.intended = true
}

/** The chain may have been changed by a job that ended, or a snapshot, since the layers were chosen. */
function requireSameChain(domain: Domain, plan: Plan): void {
  const layers = domain.chains.byDisk[plan.disk] ?? []
  const wanted = [plan.top, plan.base].flatMap((layer) => (layer === null ? [] : [layer.index]))
  const isSame =
    layers[0]?.index === plan.active.index && wanted.every((index) => layers.some((one) => one.index === index))
  if (!isSame)
    throw new Fault('operation_failed', `Cannot start a block job on disk "${plan.disk}": its chain changed meanwhile`)
}

/** An image that other domains only read may be written to by nobody: they would see its contents change under them. */
function claimsOf(plan: Plan): readonly Claim[] {
  return plan.written.map(({ path }) => ({ kind: 'image', subject: path, domain: plan.uuid, mode: 'exclusive' }))
}

async function act(host: Host, task: Task, what: { readonly plan: Plan; readonly jobId: string }): Promise<void> {
  const { plan, jobId } = what
  try {
    await host.images.grant(plan.owners)
    await host.driver.startBlockJob(plan.uuid, startOf(plan, jobId), AbortSignal.timeout(host.limits.hypervisorMs))
  } catch (error) {
    // An answer that did not come in time is not a no: the job is carried on when it shows up, else found absent.
    if (isFault(error, 'operation_timeout')) {
      host.unsettled.add(plan.uuid)
      throw error
    }
    const message = error instanceof Error ? error.message : String(error)
    await host.images.restore(plan.owners)
    await recordFailure(host, task, { uuid: plan.uuid, jobId, error: message.slice(0, 16_384) })
    throw error
  }
}

async function recordFailure(
  host: Host,
  task: Task,
  failure: { readonly uuid: string; readonly jobId: string; readonly error: string },
): Promise<void> {
  const { uuid, jobId, error } = failure
  const failed = newFact('BlockJobFailed', { jobId, error })
  try {
    await record(host, task.context, {
      kind: 'fact',
      decide: (turn) => [
        { stream: domainStream(uuid), facts: domainIn(turn, uuid).jobs[jobId] === undefined ? [] : [failed] },
      ],
    })
  } catch (unrecorded) {
    host.unsettled.add(uuid)
    host.notes.error({ err: unrecorded, domain: uuid, job: jobId }, 'A failed start of a block job is settled later')
  }
}

function startOf(plan: Plan, jobId: string): BlockJobStart {
  const { disk: target, bytesPerSecond, base } = plan
  const common = { jobId, target, bytesPerSecond, top: layerOf(plan.top) }
  if (plan.kind === 'pull') return { ...common, kind: 'pull', base: base === null ? null : layerOf(base) }
  if (base === null) throw new Fault('internal', `Cannot start ${plan.kind} on disk "${target}": it has no base`)
  if (plan.kind === 'commit') return { ...common, kind: 'commit', active: layerOf(plan.active), base: layerOf(base) }
  return { ...common, kind: 'active_commit', base: layerOf(base) }
}

function layerOf({ index, path, format }: Layer): DiskLayer {
  return { index, path, format }
}
