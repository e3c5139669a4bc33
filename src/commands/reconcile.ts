import type { DomainStateRow } from '../../projections/domain-states.ts'
import type { Reattached, RunningDomain } from '../driver/driver.ts'
import { type AnyFact, newFact } from '../events/catalogue.ts'
import { domainStream } from '../events/stream-names.ts'
import type { Domain } from '../model/domain.ts'
import { daemonContext } from './daemon-caller.ts'
import { endRun } from './end-run.ts'
import type { Host } from './host.ts'
import { type Context, readDomain, record } from './record.ts'
import { holderOf } from './run-command.ts'
import { reconcileChains, reconcileJobs } from './reconcile-jobs.ts'
import { settleSnapshot } from './settle-snapshot.ts'

/** Domains looked at at the same time. */
const parallel = 16

/**
 * Compares what the log says with what the hypervisor says, for every run and every open intent, and records what
 * happened meanwhile. Afterwards no intent is without an outcome, but those of domains whose monitor is silent.
 */
export async function reconcileAll(host: Host): Promise<void> {
  await reconcileDomains(host, [
    ...host.reads.running().map((row) => row.domain_uuid),
    ...host.reads.openIntents().map((row) => row.domain_uuid),
    ...host.unsettled,
  ])
}

/** Tries again what could not be settled: a silent monitor answers again, a step of a job failed, the log was away. */
export async function reconcileUnsettled(host: Host): Promise<void> {
  await reconcileDomains(host, [...host.unsettled])
}

async function reconcileDomains(host: Host, all: readonly string[]): Promise<void> {
  const uuids = new Set(all)
  // A job in PENDING holds its guest's writes, so domains with jobs come first.
  const waiting = [...uuids].sort((a, b) => host.reads.jobs(b).length - host.reads.jobs(a).length)
  const workers = Array.from({ length: Math.min(parallel, waiting.length) }, async () => {
    for (let uuid = waiting.shift(); uuid !== undefined; uuid = waiting.shift()) await reconcileOne(host, uuid)
  })
  await Promise.all(workers)
}

async function reconcileOne(host: Host, uuid: string): Promise<void> {
  const context = daemonContext('RECONCILE')
  try {
    // While commands are served, one of them may be between its intent and its outcome: that is not for others to settle.
    using _job = await host.jobs.acquire(uuid, holderOf(context.caller))
    host.unsettled.delete(uuid)
    await reconcileDomain(host, context, uuid)
  } catch (error) {
    host.unsettled.add(uuid)
    host.notes.error(
      { err: error, domain: uuid },
      'A domain could not be reconciled with its hypervisor; it is tried again',
    )
  }
}

async function reconcileDomain(host: Host, context: Context, uuid: string): Promise<void> {
  const domain = await readDomain(host, uuid)
  const row = host.reads.byUuid(uuid)?.run ?? null
  switch (domain.run.phase) {
    case 'off':
      return await settleSnapshot(host, context, uuid)
    case 'starting':
      return await giveUpStart(host, context, { uuid, name: domain.run.requested.name })
    case 'running':
      if (row !== null) await compare(host, context, { uuid, domain, row })
  }
}

/** A start whose process was never recorded: the guest ran no instruction, so the process goes. */
async function giveUpStart(
  host: Host,
  context: Context,
  start: { readonly uuid: string; readonly name: string },
): Promise<void> {
  const process = await host.driver.findUnrecorded(start, deadline(host))
  if (process !== null) {
    await host.driver.reattach(process, deadline(host))
    await host.driver.destroy(start.uuid, deadline(host))
  }
  await endRun(host, context, {
    uuid: start.uuid,
    how: { kind: 'neverStarted', detail: 'The daemon ended before the start was complete' },
  })
}

async function compare(
  host: Host,
  context: Context,
  what: { readonly uuid: string; readonly domain: Domain; readonly row: DomainStateRow },
): Promise<void> {
  const { uuid, domain } = what
  const found = await host.driver.reattach(runningDomainOf(what.row), deadline(host))
  switch (found.kind) {
    case 'gone':
      return await endRun(host, context, { uuid, how: endOf(domain, found) })
    case 'silent':
      host.unsettled.add(uuid)
      host.notes.warn({ domain: uuid, why: found.why }, 'The monitor of a running domain does not answer')
      return
    case 'running':
      return await settle(host, context, { uuid, domain, found })
  }
}

function endOf(domain: Domain, found: Extract<Reattached, { kind: 'gone' }>) {
  if (domain.intent === 'DomainDestroyRequested' && found.why !== 'host_rebooted') return { kind: 'destroyed' } as const
  const reason = found.why === 'host_rebooted' ? ('host_rebooted' as const) : ('process_gone' as const)
  return { kind: 'shutOff', reason, detail: found.why } as const
}

async function settle(
  host: Host,
  context: Context,
  what: { readonly uuid: string; readonly domain: Domain; readonly found: Extract<Reattached, { kind: 'running' }> },
): Promise<void> {
  const { uuid, domain, found } = what
  await reconcileJobs(host, context, { uuid, domain, jobs: found.jobs })
  if (domain.intent === 'DomainDestroyRequested') {
    await host.driver.destroy(uuid, deadline(host))
    return await endRun(host, context, { uuid, how: { kind: 'destroyed' } })
  }
  const facts = [...intentOutcome(domain, found.state), ...stateFacts(domain, found.state)]
  await record(host, context, { kind: 'fact', decide: () => [{ stream: domainStream(uuid), facts }] })
  if (found.state === 'prelaunch' && domain.run.phase === 'running' && !domain.run.paused)
    await host.driver.resume(uuid, deadline(host))
  await settleSnapshot(host, context, uuid)
  await reconcileChains(host, context, uuid)
}

/** What became of an intent that was cut off, told by the state that the hypervisor is in now. */
function intentOutcome(domain: Domain, state: 'running' | 'paused' | 'prelaunch'): readonly AnyFact[] {
  const { intent } = domain
  if (intent === null) return []
  if (intent === 'DomainSuspendRequested' && state !== 'running')
    return [newFact('DomainSuspended', { cause: 'request' })]
  if (intent === 'DomainResumeRequested' && state === 'running') return [newFact('DomainResumed', { cause: 'request' })]
  const known = intent === 'DomainSuspendRequested' || intent === 'DomainResumeRequested'
  const error = known
    ? 'The daemon ended before it was carried out'
    : 'The daemon ended meanwhile; whether the guest got the request is not known'
  return [newFact('CommandFailed', { intent, error })]
}

/** A change of the CPUs' state that the hypervisor made by itself while nobody listened. */
function stateFacts(domain: Domain, state: 'running' | 'paused' | 'prelaunch'): readonly AnyFact[] {
  if (
    domain.run.phase !== 'running' ||
    domain.intent === 'DomainSuspendRequested' ||
    domain.intent === 'DomainResumeRequested'
  )
    return []
  if (state === 'paused' && !domain.run.paused) return [newFact('DomainSuspended', { cause: 'hypervisor' })]
  if (state === 'running' && domain.run.paused) return [newFact('DomainResumed', { cause: 'hypervisor' })]
  return []
}

/** The process of a run as it was recorded. */
export function runningDomainOf(row: DomainStateRow): RunningDomain {
  return {
    uuid: row.domain_uuid,
    name: row.name,
    process: { pid: row.pid, startTicks: row.start_ticks, bootId: row.boot_id },
    monitorPath: row.monitor_path,
  }
}

function deadline(host: Host): AbortSignal {
  return AbortSignal.timeout(host.limits.hypervisorMs)
}
