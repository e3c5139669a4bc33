import { type AlignedDisk, type AlignedSnapshot, alignSnapshot } from '../conf/align-snapshot.ts'
import type { DomainDef } from '../conf/domain-def.ts'
import { formatDomain } from '../conf/format-domain.ts'
import { parseSnapshot } from '../conf/snapshot-def.ts'
import type { DetectedLayer, OwnershipChange } from '../driver/images.ts'
import { type AnyFact, newFact } from '../events/catalogue.ts'
import { domainStream } from '../events/stream-names.ts'
import { jobOfDisk } from '../model/block-job.ts'
import type { Layer } from '../model/chain.ts'
import type { Claim } from '../model/claims.ts'
import type { Domain } from '../model/domain.ts'
import { checkNewSnapshot } from '../model/snapshots.ts'
import { Fault } from '../util/fault.ts'
import { sha256 } from '../util/sha256.ts'
import type { Caller } from './caller.ts'
import { recordFailed, settledLater } from './change-run.ts'
import type { SnapshotRequest } from './commands.ts'
import { requireKnown } from './define-domain.ts'
import { type FactsAndTexts, recordFollowed } from './follow-chain.ts'
import type { Host } from './host.ts'
import { releaseClaims, takeClaims } from './image-claims.ts'
import { driftFault, knowChains } from './known-chains.ts'
import { liveDefinition, nextDefinition } from './live-definition.ts'
import { domainIn, readDomain, record } from './record.ts'
import { recordDrifts } from './record-drifts.ts'
import { runCommand, type Task } from './run-command.ts'
import { settleSnapshot } from './settle-snapshot.ts'

/** One overlay to create and put on top. */
interface Overlay {
  readonly disk: string
  readonly active: Layer
  readonly index: number
  readonly path: string
}

interface Plan {
  readonly request: SnapshotRequest
  readonly aligned: AlignedSnapshot
  readonly definition: DomainDef
  readonly parent: string | null
  readonly overlays: readonly Overlay[]
  readonly chainFacts: readonly AnyFact[]
  readonly running: boolean
}

/** Freezes the disks of a domain: new overlays become the active images, all or none. Returns the snapshot's name. */
export async function createSnapshot(host: Host, caller: Caller, request: SnapshotRequest): Promise<string> {
  const { uuid } = request
  return await runCommand(host, { caller, uuid }, async (task) => {
    requireKnown(host, uuid)
    const plan = await planSnapshot(host, task, request)
    await recordIntent(host, task, plan)
    await host.reach('snapshot.requested')
    const created = await buildOverlays(host, task, plan)
    await host.reach('snapshot.files')
    if (plan.running) await putOnTop(host, task, plan)
    await host.reach('snapshot.acted')
    await recordCreated(host, task, { plan, created })
    return plan.aligned.name
  })
}

async function planSnapshot(host: Host, task: Task, request: SnapshotRequest): Promise<Plan> {
  const { uuid } = request
  const view = host.reads.byUuid(uuid)
  if (view === null) throw new Fault('no_domain', `no domain with matching uuid '${uuid}'`)
  const asked = parseSnapshot(request.xml)
  if (asked.memory?.snapshot !== undefined && asked.memory.snapshot !== 'no')
    throw new Fault(
      'config_unsupported',
      'Cannot create the snapshot: memory cannot be saved yet, only disk-only snapshots are served',
    )
  if (!request.diskOnly && view.active)
    throw new Fault(
      'config_unsupported',
      'Cannot create the snapshot: only disk-only snapshots of a running domain are served (--disk-only)',
    )
  const definition = view.active ? await liveDefinition(host, view) : await nextDefinition(host, view)
  const aligned = alignSnapshot(asked, definition, BigInt(Math.floor(Number(host.clock.nowUs()) / 1_000_000)))
  refuseOtherKinds(aligned)
  const domain = await readDomain(host, uuid)
  const known = view.active
    ? { facts: [], chains: domain.chains, drifts: [] }
    : await knowChains(
        host.images,
        { definition, chains: domain.chains },
        AbortSignal.timeout(host.limits.hypervisorMs),
      )
  const [drift] = known.drifts
  if (drift !== undefined) {
    await recordDrifts(host, task.context, { uuid, drifts: known.drifts })
    throw driftFault(drift, view.name)
  }
  const external = aligned.disks.filter((disk) => disk.snapshot === 'external')
  if (!request.reuseExternal) await refuseExisting(host, external)
  const overlays = external.map((disk, at) =>
    overlayOf(disk, { layers: known.chains.byDisk[disk.name], index: known.chains.nextIndex + at }),
  )
  return {
    request,
    aligned,
    definition,
    parent: domain.snapshots.current,
    overlays,
    chainFacts: known.facts,
    running: view.active,
  }
}

function refuseOtherKinds(aligned: AlignedSnapshot): void {
  const other = aligned.disks.find((disk) => disk.snapshot === 'internal' || disk.snapshot === 'manual')
  if (other !== undefined)
    throw new Fault(
      'config_unsupported',
      `Cannot create the snapshot: disk "${other.name}" asks for a snapshot of kind ${other.snapshot}, only external and no are served`,
    )
  if (!aligned.disks.some((disk) => disk.snapshot === 'external'))
    throw new Fault('config_unsupported', 'Cannot create the snapshot: no disk takes part in it')
  const format = aligned.disks.find((disk) => disk.snapshot === 'external' && disk.driver?.type !== 'qcow2')
  if (format !== undefined)
    throw new Fault(
      'config_unsupported',
      `Cannot create the snapshot: the overlay of disk "${format.name}" must be qcow2, not "${format.driver?.type ?? ''}"`,
    )
}

/** What lies there before the intent is not ours: undoing a cut-off snapshot must find only files that it created. */
async function refuseExisting(host: Host, disks: readonly AlignedDisk[]): Promise<void> {
  for (const { name, source } of disks) {
    const path = source?.file ?? ''
    if ((await host.images.stat(path)) === null) continue
    throw new Fault(
      'config_unsupported',
      `Cannot create the snapshot: the overlay "${path}" of disk "${name}" exists already; --reuse-external uses it as it is`,
      { subject: path },
    )
  }
}

function overlayOf(
  disk: AlignedDisk,
  at: { readonly layers: readonly Layer[] | undefined; readonly index: number },
): Overlay {
  const active = at.layers?.[0]
  const path = disk.source?.file
  if (active === undefined || path === undefined)
    throw new Fault('operation_failed', `Cannot create the snapshot: the chain of disk "${disk.name}" is not known`)
  return { disk: disk.name, active, index: at.index, path }
}

async function recordIntent(host: Host, task: Task, plan: Plan): Promise<void> {
  const { uuid } = plan.request
  const { name } = plan.aligned
  const requested = newFact('SnapshotRequested', {
    name,
    description: plan.aligned.description ?? null,
    parent: plan.parent,
    disks: plan.overlays.map(({ disk, active, index, path }) => ({ disk, active: active.index, overlay: index, path })),
    reuseExternal: plan.request.reuseExternal,
    metadata: !plan.request.noMetadata,
  })
  await record(host, task.context, {
    kind: 'intent',
    decide: (turn) => {
      const domain = domainIn(turn, uuid)
      refuseConflicts(domain, plan)
      return [
        { stream: domainStream(uuid), facts: [...plan.chainFacts, requested] },
        ...takeClaims(turn, claimsOf(plan)),
      ]
    },
  })
  task.intended = true
}

function refuseConflicts(domain: Domain, plan: Plan): void {
  if (!plan.request.noMetadata) checkNewSnapshot(domain.snapshots, plan.aligned.name)
  if ((domain.run.phase === 'running') !== plan.running)
    throw new Fault(
      'operation_invalid',
      `Cannot create snapshot "${plan.aligned.name}": the domain ${plan.running ? 'stopped' : 'started'} meanwhile`,
    )
  for (const { disk, path } of plan.overlays) {
    const user = Object.entries(domain.chains.byDisk).find(([, layers]) => layers.some((layer) => layer.path === path))
    if (user !== undefined)
      throw new Fault(
        'config_unsupported',
        `Cannot create snapshot "${plan.aligned.name}": the overlay "${path}" of disk "${disk}" is in the chain of disk "${user[0]}" already`,
        { subject: path },
      )
    const job = jobOfDisk(domain.jobs, disk)
    if (job !== undefined)
      throw new Fault(
        'operation_unsupported',
        `Cannot create snapshot "${plan.aligned.name}": disk "${disk}" has an active block job (${job.kind}, ${job.phase})`,
      )
  }
}

/** Creates the overlays; what was created is removed again when anything fails. */
async function buildOverlays(host: Host, task: Task, plan: Plan): Promise<readonly DetectedLayer[]> {
  const { uuid, reuseExternal } = plan.request
  const signal = AbortSignal.timeout(host.limits.hypervisorMs)
  const created: DetectedLayer[] = []
  try {
    for (const { path, active } of plan.overlays) {
      const backing = { path: active.path, format: active.format }
      const overlay = { path, virtualSizeBytes: active.virtualSizeBytes, backing, reuseExternal }
      created.push(await host.images.createOverlay(overlay, signal))
    }
    if (plan.running) await host.images.grant(await accessToOverlays(host, plan))
    return created
  } catch (error) {
    if (!reuseExternal) for (const layer of created) await host.images.remove(layer.path)
    const message = error instanceof Error ? error.message : String(error)
    const outcome = newFact('CommandFailed', { intent: 'SnapshotRequested', error: message.slice(0, 16_384) })
    await recordFailed(host, task, { uuid, outcome, release: (turn) => releaseClaims(turn, claimsOf(plan)) })
    throw error
  }
}

/** Puts the overlays on top in one step. Where that fails, the hypervisor is asked what it has: an answer that was lost is not a no. */
async function putOnTop(host: Host, task: Task, plan: Plan): Promise<void> {
  const { uuid } = plan.request
  const disks = plan.overlays.map(({ disk, active, index, path }) => ({
    target: disk,
    active: { index: active.index, path: active.path, format: active.format },
    overlay: { index, path, format: 'qcow2' as const },
  }))
  try {
    await host.driver.snapshotDisks(uuid, disks, AbortSignal.timeout(host.limits.hypervisorMs))
  } catch (error) {
    try {
      await settleSnapshot(host, task.context, uuid)
      await removeUnused(host, plan)
    } catch (unsettled) {
      host.unsettled.add(uuid)
      host.notes.error(
        { err: unsettled, domain: uuid },
        'What became of a snapshot is not known yet; it is settled later',
      )
    }
    throw error
  }
}

/** Overlays that came to be while the run ended under them, and that no chain took in. */
async function removeUnused(host: Host, plan: Plan): Promise<void> {
  const { uuid, reuseExternal } = plan.request
  const { chains } = await readDomain(host, uuid)
  const used = new Set(Object.values(chains.byDisk).flatMap((layers) => layers.map((layer) => layer.path)))
  for (const { path } of plan.overlays) {
    if (!reuseExternal && !used.has(path) && (await host.images.stat(path)) !== null) await host.images.remove(path)
  }
}

async function accessToOverlays(host: Host, plan: Plan): Promise<readonly OwnershipChange[]> {
  return await host.images.planAccess(plan.overlays.map(({ path }) => ({ path, write: true })))
}

/** A running domain writes to its overlays alone; those of one that is off are claimed by its next start. */
function claimsOf(plan: Plan): readonly Claim[] {
  if (!plan.running) return []
  const { uuid } = plan.request
  return plan.overlays.map(({ path }) => ({ kind: 'image', subject: path, domain: uuid, mode: 'exclusive' }))
}

async function recordCreated(
  host: Host,
  task: Task,
  made: { readonly plan: Plan; readonly created: readonly DetectedLayer[] },
): Promise<void> {
  const { uuid } = made.plan.request
  await settledLater(host, { uuid, done: 'SnapshotCreated' }, async () => {
    await recordFollowed(host, task.context, {
      uuid,
      facts: (domain) => Promise.resolve(createdFacts(host, { ...made, domain })),
      still: (domain) => domain.snapshotIntent !== null,
    })
  })
}

function createdFacts(
  host: Host,
  made: { readonly plan: Plan; readonly created: readonly DetectedLayer[]; readonly domain: Domain },
): FactsAndTexts {
  const { plan, created, domain } = made
  const text = formatDomain(plan.definition)
  const definitionSha256 = sha256(text)
  const disks = plan.aligned.disks.map((disk) => {
    const at = plan.overlays.findIndex((overlay) => overlay.disk === disk.name)
    const overlay = plan.overlays[at]
    const file = created[at]
    return {
      disk: disk.name,
      snapshot: disk.snapshot,
      overlay: overlay === undefined || file === undefined ? null : { ...file, index: overlay.index },
    }
  })
  const fact = newFact('SnapshotCreated', {
    name: plan.aligned.name,
    description: plan.aligned.description ?? null,
    // The parent of the plan may have been deleted meanwhile: deletions wait for nobody.
    parent: domain.snapshots.current,
    state: plan.running ? 'disk-snapshot' : 'shutoff',
    createdAtUs: (plan.aligned.creationTime ?? 0n) * 1_000_000n,
    disks,
    definitionSha256,
    metadata: !plan.request.noMetadata,
  })
  host.texts.keep(definitionSha256, text)
  return { facts: [fact], texts: [{ sha256: definitionSha256, bytes: Buffer.from(text) }] }
}
