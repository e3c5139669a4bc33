import { daemonContext } from '../commands/daemon-caller.ts'
import { endRun } from '../commands/end-run.ts'
import type { Host } from '../commands/host.ts'
import type { JobRunner } from '../commands/job-runner.ts'
import { domainIn, readDomain, record } from '../commands/record.ts'
import { holderOf } from '../commands/run-command.ts'
import type { DriverFact } from '../driver/driver.ts'
import { type AnyFact, newFact } from '../events/catalogue.ts'
import { domainStream } from '../events/stream-names.ts'

/**
 * Turns what the hypervisor reports by itself into events, until the signal aborts. Facts of one domain are taken in
 * their order; one that cannot be recorded leaves the domain to reconciliation.
 */
export async function followDriverFacts(host: Host, runner: JobRunner, signal: AbortSignal): Promise<void> {
  const tails = new Map<string, Promise<void>>()
  for await (const fact of host.driver.facts(signal)) {
    const before = tails.get(fact.uuid) ?? Promise.resolve()
    const tail = before.then(async () => await take(host, runner, fact))
    tails.set(fact.uuid, tail)
    void tail.then(() => {
      if (tails.get(fact.uuid) === tail) tails.delete(fact.uuid)
    })
  }
  await Promise.all(tails.values())
}

type Domain = ReturnType<typeof domainIn>

async function take(host: Host, runner: JobRunner, fact: DriverFact): Promise<void> {
  try {
    await react(host, runner, fact)
  } catch (error) {
    host.unsettled.add(fact.uuid)
    host.notes.error(
      { err: error, domain: fact.uuid, fact: fact.kind },
      'What the hypervisor reported could not be recorded; the domain is reconciled later',
    )
  }
}

async function react(host: Host, runner: JobRunner, fact: DriverFact): Promise<void> {
  switch (fact.kind) {
    case 'suspended':
      return await note(host, fact.uuid, (domain) =>
        isRunning(domain, { paused: false }) && domain.intent !== 'DomainSuspendRequested'
          ? [newFact('DomainSuspended', { cause: 'hypervisor' })]
          : [],
      )
    case 'resumed':
      return await note(host, fact.uuid, (domain) =>
        isRunning(domain, { paused: true }) && domain.intent !== 'DomainResumeRequested'
          ? [newFact('DomainResumed', { cause: 'hypervisor' })]
          : [],
      )
    case 'reset':
      return await note(host, fact.uuid, (domain) =>
        domain.run.phase === 'running' && domain.intent !== 'DomainResetRequested'
          ? [newFact('DomainReset', { cause: 'guest' })]
          : [],
      )
    case 'guestShutdown':
    case 'guestPanicked':
      host.notes.info(
        { domain: fact.uuid },
        fact.kind === 'guestShutdown' ? 'The guest powers down' : 'The guest panicked',
      )
      return
    case 'ended':
      return await ended(host, fact)
    case 'jobChanged':
      return await runner.noticed(fact.uuid, fact.jobId)
    case 'monitorSilent':
      host.notes.warn({ domain: fact.uuid, sinceMs: fact.sinceMs }, 'The monitor of a domain does not answer')
  }
}

async function ended(host: Host, fact: Extract<DriverFact, { kind: 'ended' }>): Promise<void> {
  const context = daemonContext('HYPERVISOR')
  let domain = await readDomain(host, fact.uuid)
  if (domain.run.phase === 'starting') {
    // The start may be about to record that the process runs: it is waited for, and the domain is looked at again.
    using _job = await host.jobs.acquire(fact.uuid, holderOf(context.caller))
    domain = await readDomain(host, fact.uuid)
  }
  // Destroy records the end itself, it is its outcome.
  if (domain.intent === 'DomainDestroyRequested' || domain.run.phase !== 'running') return
  const how =
    fact.how === 'shutdown'
      ? ({ kind: 'shutOff', reason: 'shutdown', detail: fact.detail } as const)
      : ({ kind: 'crashed', detail: fact.detail } as const)
  await endRun(host, context, { uuid: fact.uuid, how })
}

async function note(host: Host, uuid: string, decide: (domain: Domain) => readonly AnyFact[]): Promise<void> {
  await record(host, daemonContext('HYPERVISOR'), {
    kind: 'fact',
    decide: (turn) => [{ stream: domainStream(uuid), facts: decide(domainIn(turn, uuid)) }],
  })
}

function isRunning(domain: Domain, state: { readonly paused: boolean }): boolean {
  return domain.run.phase === 'running' && domain.run.paused === state.paused
}
