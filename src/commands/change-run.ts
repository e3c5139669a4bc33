import { type AnyFact, type FactType, newFact } from '../events/catalogue.ts'
import { domainStream } from '../events/stream-names.ts'
import type { Turn } from '../eventstore/turn.ts'
import { type Domain, requireRunning } from '../model/domain.ts'
import type { Intent } from '../model/lifecycle.ts'
import { Fault, isFault } from '../util/fault.ts'
import type { Caller } from './caller.ts'
import type { CrashPoint } from './crash-points.ts'
import { requireKnown } from './define-domain.ts'
import { endRun } from './end-run.ts'
import type { Host } from './host.ts'
import { domainIn, type Proposal, record } from './record.ts'
import { runCommand, type Task } from './run-command.ts'

/** A change of a running domain that the hypervisor makes at once: what is recorded before and after, and what is done. */
interface Change {
  readonly intent: Extract<Intent, FactType>
  readonly act: (host: Host, uuid: string, signal: AbortSignal) => Promise<void>
  readonly outcome: AnyFact
  readonly requested?: CrashPoint
  readonly acted?: CrashPoint
  /** Refuses in the current state, or answers that it is so already. */
  readonly check?: (domain: Domain) => 'already' | 'go'
}

const changes = {
  suspend: {
    intent: 'DomainSuspendRequested',
    act: async (host, uuid, signal) => await host.driver.suspend(uuid, signal),
    outcome: newFact('DomainSuspended', { cause: 'request' }),
    requested: 'suspend.requested',
    acted: 'suspend.acted',
    check: (domain) => (requireRunning(domain).paused ? 'already' : 'go'),
  },
  resume: {
    intent: 'DomainResumeRequested',
    act: async (host, uuid, signal) => await host.driver.resume(uuid, signal),
    outcome: newFact('DomainResumed', { cause: 'request' }),
    requested: 'resume.requested',
    acted: 'resume.acted',
    check: (domain) => {
      if (!requireRunning(domain).paused) throw new Fault('operation_invalid', 'domain is already running')
      return 'go'
    },
  },
  reset: {
    intent: 'DomainResetRequested',
    act: async (host, uuid, signal) => await host.driver.reset(uuid, signal),
    outcome: newFact('DomainReset', { cause: 'request' }),
  },
  shutdown: {
    intent: 'DomainShutdownRequested',
    act: async (host, uuid, signal) => await host.driver.shutdown(uuid, signal),
    outcome: newFact('DomainPowerButtonPressed', {}),
  },
} as const satisfies Record<string, Change>

/** Suspends, resumes, resets a running domain, or asks its guest to power down. */
export async function changeRun(
  host: Host,
  caller: Caller,
  request: { readonly uuid: string; readonly change: keyof typeof changes },
): Promise<void> {
  const { uuid } = request
  const change: Change = changes[request.change]
  await runCommand(host, { caller, uuid }, async (task) => {
    requireKnown(host, uuid)
    if (!(await recordIntent(host, task, { uuid, change }))) return
    if (change.requested !== undefined) await host.reach(change.requested)
    await actOrFail(host, task, {
      uuid,
      intent: change.intent,
      act: async () => await change.act(host, uuid, AbortSignal.timeout(host.limits.hypervisorMs)),
    })
    if (change.acted !== undefined) await host.reach(change.acted)
    await recordOutcome(host, task, { uuid, outcome: change.outcome })
  })
}

async function recordIntent(
  host: Host,
  task: Task,
  what: { readonly uuid: string; readonly change: Change },
): Promise<boolean> {
  const { uuid, change } = what
  let go = true
  await record(host, task.context, {
    kind: 'intent',
    decide: (turn) => {
      const domain = domainIn(turn, uuid)
      requireRunning(domain)
      go = change.check === undefined || change.check(domain) === 'go'
      return [{ stream: domainStream(uuid), facts: go ? [newFact(change.intent, {})] : [] }]
    },
  })
  task.intended = go
  return go
}

/** Acts on a recorded intent; a failure is recorded as the intent's outcome and thrown on. */
export async function actOrFail(
  host: Host,
  task: Task,
  what: { readonly uuid: string; readonly intent: string; readonly act: () => Promise<void> },
): Promise<void> {
  try {
    await what.act()
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const failed = newFact('CommandFailed', { intent: what.intent, error: message.slice(0, 16_384) })
    await recordFailed(host, task, { uuid: what.uuid, outcome: failed })
    throw error
  }
}

/** Records that an intent came to nothing. Where that fails the domain is left to reconciliation: what the caller must hear is why the act failed. */
export async function recordFailed(host: Host, task: Task, what: Parameters<typeof recordOutcome>[2]): Promise<void> {
  try {
    await recordOutcome(host, task, what)
  } catch (error) {
    host.notes.error({ err: error, domain: what.uuid }, 'A failure could not be recorded; it is settled later')
  }
}

/** Records what became of an intent. Where the log is away the act stands, the caller is told so, and it is settled when the log is back. */
export async function recordOutcome(
  host: Host,
  task: Task,
  what: {
    readonly uuid: string
    readonly outcome: AnyFact
    readonly release?: (turn: Turn) => readonly Proposal[]
  },
): Promise<void> {
  await settledLater(host, { uuid: what.uuid, done: what.outcome.type }, async () => {
    await record(host, task.context, {
      kind: 'fact',
      decide: (turn) => [{ stream: domainStream(what.uuid), facts: [what.outcome] }, ...(what.release?.(turn) ?? [])],
    })
  })
}

/** Records something that was done already: where that fails, the domain is left to reconciliation and the caller is told that the act stands. */
export async function settledLater(
  host: Host,
  act: { readonly uuid: string; readonly done: string },
  recordIt: () => Promise<void>,
): Promise<void> {
  try {
    await recordIt()
  } catch (error) {
    host.unsettled.add(act.uuid)
    if (!isFault(error, 'log_unavailable')) throw error
    // The words of the log speak of this append; the act before it was carried out.
    const why = error.cause instanceof Error ? error.cause.message : error.message
    throw new Fault(
      'log_unavailable',
      `It was done (${act.done}), but could not be recorded: ${why}; it is settled as soon as the log is back`,
      { cause: error },
    )
  }
}

/** Ends a domain's process by force and records how it left its files. */
export async function destroyDomain(
  host: Host,
  caller: Caller,
  request: { readonly uuid: string; readonly graceful: boolean },
): Promise<void> {
  const { uuid, graceful } = request
  await runCommand(host, { caller, uuid }, async (task) => {
    requireKnown(host, uuid)
    if (graceful)
      throw new Fault(
        'argument_unsupported',
        'Cannot destroy gracefully: only an end by force is served; use shutdown to ask the guest',
      )
    await record(host, task.context, {
      kind: 'intent',
      decide: (turn) => {
        requireRunning(domainIn(turn, uuid))
        return [{ stream: domainStream(uuid), facts: [newFact('DomainDestroyRequested', {})] }]
      },
    })
    task.intended = true
    await host.reach('destroy.requested')
    await actOrFail(host, task, {
      uuid,
      intent: 'DomainDestroyRequested',
      act: async () => await host.driver.destroy(uuid, AbortSignal.timeout(host.limits.hypervisorMs)),
    })
    await host.reach('destroy.acted')
    await settledLater(host, { uuid, done: 'DomainDestroyed' }, async () => {
      await endRun(host, task.context, { uuid, how: { kind: 'destroyed' } })
    })
  })
}
