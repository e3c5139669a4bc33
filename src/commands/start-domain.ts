import type { HostModel } from '../conf/best-x86-model.ts'
import type { DomainDef } from '../conf/domain-def.ts'
import { hostModelOf } from '../conf/host-model.ts'
import { unstartable } from '../conf/unstartable.ts'
import { validateDomain } from '../conf/validate-domain.ts'
import type { DiskChain, StartedDomain } from '../driver/driver.ts'
import type { OwnershipChange } from '../driver/images.ts'
import { type AnyFact, type FactOf, newFact } from '../events/catalogue.ts'
import { domainStream } from '../events/stream-names.ts'
import type { Claim } from '../model/claims.ts'
import { requireOff } from '../model/domain.ts'
import { Fault } from '../util/fault.ts'
import { sha256 } from '../util/sha256.ts'
import type { Caller } from './caller.ts'
import type { CapsVersion } from './caps-cache.ts'
import { defaultEmulator } from './default-emulator.ts'
import { requireKnown } from './define-domain.ts'
import type { DomainName } from './commands.ts'
import type { Host } from './host.ts'
import { diskChains, imageClaims, imageUses, releaseClaims, takeClaims } from './image-claims.ts'
import { driftFault, knowChains } from './known-chains.ts'
import { choosePorts, isTakenMeanwhile } from './choose-ports.ts'
import { domainIn, readDomain, record } from './record.ts'
import { recordDrifts } from './record-drifts.ts'
import { CapsInvalidatedError, runCommand, type Task } from './run-command.ts'

/** Everything that was decided before the intent of a start is recorded. */
interface Plan {
  readonly uuid: string
  readonly name: string
  readonly domainId: number
  readonly definition: DomainDef
  readonly definitionSha256: string
  readonly caps: CapsVersion
  readonly hostModel: HostModel | null
  readonly disks: readonly DiskChain[]
  readonly chainFacts: readonly AnyFact[]
  readonly claims: readonly Claim[]
  readonly owners: readonly OwnershipChange[]
  readonly vncPorts: readonly number[]
  readonly paused: boolean
  readonly cause: 'request' | 'autostart'
}

/** Starts a shut-off domain: intent, process, record, and only then the guest's first instruction. */
export async function startDomain(
  host: Host,
  caller: Caller,
  request: { readonly uuid: string; readonly paused: boolean; readonly cause?: 'request' | 'autostart' },
): Promise<DomainName> {
  const { uuid } = request
  return await runCommand(host, { caller, uuid }, async (task) => {
    requireKnown(host, uuid)
    const plan = await intendStart(host, task, { ...request, cause: request.cause ?? 'request' })
    await host.reach('start.requested')
    const started = await act(host, task, plan)
    await host.reach('start.spawned')
    await recordStarted(host, task, { plan, started })
    await host.reach('start.started')
    if (!plan.paused) await letRun(host, plan)
    return { uuid, name: plan.name, id: plan.domainId }
  })
}

/** How often the ports of a start may be taken by other starts before it is refused. */
const maxPlans = 32

async function intendStart(host: Host, task: Task, request: Parameters<typeof planStart>[2]): Promise<Plan> {
  for (let attempt = 1; ; attempt++) {
    const plan = await planStart(host, task, request)
    try {
      await recordIntent(host, task, plan)
      return plan
    } catch (error) {
      if (attempt === maxPlans || !isTakenMeanwhile(error, plan.definition)) throw error
    }
  }
}

async function planStart(
  host: Host,
  task: Task,
  request: { readonly uuid: string; readonly paused: boolean; readonly cause: 'request' | 'autostart' },
): Promise<Plan> {
  const { uuid } = request
  const view = host.reads.byUuid(uuid)
  if (view?.active === true) throw new Fault('operation_invalid', 'domain is already running')
  if (view === null || view.definition === null) throw new Fault('no_domain', `no domain with matching uuid '${uuid}'`)
  const { name } = view
  const definitionSha256 = view.definition.definition_sha256
  const definition = await host.texts.definition(definitionSha256)
  const binary = definition.devices.emulator ?? (await defaultEmulator(host, definition.os.type.arch))
  const caps = await task.takeCaps(binary)
  validateDomain(definition, caps.facts)
  refuseUnstartable(definition)
  // Numbers of new layers must not repeat those of layers that left, so they come from the stream, not from the current rows.
  const { chains } = await readDomain(host, uuid)
  const known = await knowChains(host.images, { definition, chains }, AbortSignal.timeout(host.limits.hypervisorMs))
  await refuseDrift(host, task, { uuid, name, drifts: known.drifts })
  const disks = diskChains(definition, known.chains)
  const vncPorts = await choosePorts(host, definition)
  const ports = [...new Set(vncPorts)].map(
    (port): Claim => ({ kind: 'port', subject: String(port), domain: uuid, mode: 'exclusive' }),
  )
  return {
    ...request,
    name,
    domainId: host.reads.nextDomainId(),
    definition,
    definitionSha256,
    caps,
    hostModel: await hostModel(host, { definition, caps }),
    disks,
    chainFacts: known.facts,
    claims: [...imageClaims(uuid, { definition, disks }), ...ports],
    owners: await host.images.planAccess(imageUses(disks)),
    vncPorts,
  }
}

/** Only a definition that asks for the host's model makes the whole document be read. */
async function hostModel(
  host: Host,
  { definition, caps }: Pick<Plan, 'definition' | 'caps'>,
): Promise<HostModel | null> {
  if (definition.cpu?.mode !== 'host-model') return null
  return hostModelOf(await host.caps.capabilities(caps), definition.type === 'kvm' ? 'kvm' : 'tcg')
}

function refuseUnstartable(definition: DomainDef): void {
  const [first] = unstartable(definition)
  if (first !== undefined)
    throw new Fault('config_unsupported', `Cannot start domain "${definition.name}": ${first.path}: ${first.why}`, {
      subject: first.path,
    })
}

async function refuseDrift(
  host: Host,
  task: Task,
  found: { readonly uuid: string; readonly name: string; readonly drifts: readonly FactOf<'DriftDetected'>[] },
): Promise<void> {
  const [first] = found.drifts
  if (first === undefined) return
  await recordDrifts(host, task.context, found)
  throw driftFault(first, found.name)
}

async function recordIntent(host: Host, task: Task, plan: Plan): Promise<void> {
  const { uuid, caps } = plan
  const requested = newFact('DomainStartRequested', {
    name: plan.name,
    domainId: plan.domainId,
    definitionSha256: plan.definitionSha256,
    capsId: caps.facts.capsId,
    emulator: caps.seen,
    paused: plan.paused,
    vncPorts: [...plan.vncPorts],
    owners: [...plan.owners],
    cause: plan.cause,
  })
  await record(host, task.context, {
    kind: 'intent',
    decide: (turn) => {
      if (!host.caps.isCurrent(turn, caps.facts.binary, caps.facts.capsId))
        throw new CapsInvalidatedError(`Capability version ${caps.facts.capsId} was invalidated`)
      const domain = domainIn(turn, uuid)
      requireOff(domain)
      if (domain.definition?.definitionSha256 !== plan.definitionSha256)
        throw new Fault(
          'operation_failed',
          `Cannot start domain "${plan.name}": its definition was changed at the same moment`,
        )
      return [...takeClaims(turn, plan.claims), { stream: domainStream(uuid), facts: [...plan.chainFacts, requested] }]
    },
  })
  task.intended = true
}

/** The first instruction of the guest, once the log knows its process. */
async function letRun(host: Host, { uuid, name }: Plan): Promise<void> {
  try {
    await host.driver.resume(uuid, AbortSignal.timeout(host.limits.hypervisorMs))
  } catch (error) {
    host.unsettled.add(uuid)
    const why = error instanceof Error ? error.message : String(error)
    throw new Fault(
      'operation_failed',
      `Domain "${name}" has a process, but its CPUs could not be let run: ${why}; what became of it is settled later`,
      { cause: error },
    )
  }
}

async function act(host: Host, task: Task, plan: Plan): Promise<StartedDomain> {
  try {
    await host.images.grant(plan.owners)
    const { uuid, name, definition, caps, disks, vncPorts } = plan
    const of = { caps: caps.facts, identity: caps.identity, hostModel: plan.hostModel }
    const request = { uuid, name, definition, ...of, disks, vncPorts }
    return await host.driver.start(request, AbortSignal.timeout(host.limits.startMs))
  } catch (error) {
    await recordFailure(host, task, { plan, error })
    throw error
  }
}

async function recordStarted(
  host: Host,
  task: Task,
  run: { readonly plan: Plan; readonly started: StartedDomain },
): Promise<void> {
  const { plan, started } = run
  const commandLine = started.commandLine.join('\n')
  const commandLineSha256 = sha256(commandLine)
  const fact = newFact('DomainStarted', {
    domainId: plan.domainId,
    process: started.process,
    monitorPath: started.monitorPath,
    commandLineSha256,
    executableSha256: plan.caps.identity.sha256,
    virtType: started.virtType,
    terminals: { ...started.terminals },
    vncPorts: [...started.vncPorts],
    paused: plan.paused,
  })
  const texts = [{ sha256: commandLineSha256, bytes: Buffer.from(commandLine) }]
  try {
    await record(host, task.context, {
      kind: 'fact',
      decide: () => [{ stream: domainStream(plan.uuid), facts: [fact], texts }],
    })
  } catch (error) {
    // A process that the log does not know must not run a guest: it never ran one instruction.
    host.unsettled.add(plan.uuid)
    await host.driver.destroy(plan.uuid, AbortSignal.timeout(host.limits.hypervisorMs))
    await recordFailure(host, task, { plan, error })
    throw error
  }
}

async function recordFailure(
  host: Host,
  task: Task,
  failure: { readonly plan: Plan; readonly error: unknown },
): Promise<void> {
  const { plan, error } = failure
  await host.images.restore(plan.owners)
  const message = error instanceof Error ? error.message : String(error)
  const failed = newFact('DomainStartFailed', { error: message.slice(0, 16_384), restored: [...plan.owners] })
  try {
    const facts = [...(await invalidated(host, task, plan)), failed]
    await record(host, task.context, {
      kind: 'fact',
      decide: (turn) =>
        domainIn(turn, plan.uuid).run.phase === 'off'
          ? []
          : [...releaseClaims(turn, plan.claims), { stream: domainStream(plan.uuid), facts }],
    })
    host.unsettled.delete(plan.uuid)
  } catch (unrecorded) {
    host.unsettled.add(plan.uuid)
    host.notes.error(
      { err: unrecorded, domain: plan.uuid },
      'The failure of a start could not be recorded; it is settled when the log is back',
    )
  }
}

/** A start that failed because its emulator is another one by now: the version dies, and the task with it. */
async function invalidated(host: Host, task: Task, { caps }: Plan): Promise<readonly AnyFact[]> {
  const { binary, capsId } = caps.facts
  const stale = host.driver.checkIdentity(binary, caps.identity)
  if (stale === null) return []
  const { context } = task
  await host.caps.invalidate({ binary, capsId }, { stale, detectedBy: context.caller.procedure, context })
  return [newFact('TaskAborted', { capsId, reason: `${stale.reason}: was ${stale.was}, is ${stale.is}` })]
}
