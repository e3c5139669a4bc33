import { Fault, isFault } from '../util/fault.ts'
import { uuidV7 } from '../util/uuid-v7.ts'
import type { Caller } from './caller.ts'
import type { CapsVersion } from './caps-cache.ts'
import type { JobHolder } from './domain-jobs.ts'
import type { Host } from './host.ts'
import type { Context } from './record.ts'

/** One run of a command: it has the domain to itself, one capability version at most, and knows whether it acted. */
export interface Task {
  readonly context: Context
  /** True from the first recorded intent on: what goes wrong afterwards is an outcome, not a refusal. */
  intended: boolean
  /** Takes the one capability version by which everything in this task is judged. */
  takeCaps(binary: string): Promise<CapsVersion>
}

/** Thrown where a task finds its capability version invalidated before any side effect: the task runs again with the new one. */
export class CapsInvalidatedError extends Error {}

/** How often a task starts over because its capability version was invalidated under it. */
const maxRestarts = 3

/**
 * Runs a command for a caller: one change at a time per domain, everything under one command id, refusals recorded.
 * `uuid` null = the command concerns no existing domain.
 */
export async function runCommand<Result>(
  host: Host,
  request: { readonly caller: Caller; readonly uuid: string | null; readonly subject?: string },
  body: (task: Task) => Promise<Result>,
): Promise<Result> {
  const { caller, uuid } = request
  const context = newContext(caller)
  const task = { context, intended: false, takeCaps: (binary: string) => takeCaps(host, task, binary) }
  try {
    using _job = uuid === null ? null : await host.jobs.acquire(uuid, holderOf(caller))
    return await restarting(task, body)
  } catch (error) {
    if (isFault(error)) {
      if (task.intended) host.refusals.settle(error)
      else await host.refusals.note(task.context, error, request.subject ?? uuid)
    }
    throw error
  }
}

/** A fresh context for a caller: a new command that nothing caused but its request. */
export function newContext(caller: Caller): Context {
  const commandId = uuidV7()
  return { caller, commandId, correlationId: commandId, causationId: null, capsId: null }
}

/** The holder of a job as those who wait for it are told. */
export function holderOf({ actor, procedure, reason }: Caller): JobHolder {
  const user = actor.authentication === 'self' ? 'the daemon' : `uid ${actor.uid}`
  return { procedure, actor: `${actor.program}[${actor.pid}]`, user, reason }
}

async function takeCaps(host: Host, task: { context: Context }, binary: string): Promise<CapsVersion> {
  const caps = await host.caps.current(binary, task.context)
  task.context = { ...task.context, capsId: caps.facts.capsId }
  return caps
}

async function restarting<Result>(task: Task, body: (task: Task) => Promise<Result>): Promise<Result> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await body(task)
    } catch (error) {
      if (!(error instanceof CapsInvalidatedError) || task.intended) throw error
      if (attempt === maxRestarts) {
        throw new Fault(
          'operation_failed',
          `${error.message} in each of ${maxRestarts + 1} attempts; nothing was changed`,
          { cause: error },
        )
      }
    }
  }
}
