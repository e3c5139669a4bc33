import * as v from 'valibot'
import type { DriverFact, Reattached, RunningDomain } from '../driver/driver.ts'
import type { ProcessTable } from '../driver/host-facts.ts'
import { abortFault } from '../util/abort-fault.ts'
import { queryDomainJobs } from './block-jobs.ts'
import { DomainSession, type DomainSessionOptions } from './domain-session.ts'
import { QmpClient } from './qmp-client.ts'
import { parseQmpValue } from './qmp-message.ts'
import { waitForEnd } from './end-process.ts'
import { findDomainProcess, isProcessOf, monitorPathOf, queryUuid } from './start-domain.ts'

/** What finding processes again needs. */
export interface ReattachContext {
  readonly processes: ProcessTable
  readonly runDirectory: string
  readonly greetingTimeoutMs: number
  readonly onFact: (fact: DriverFact) => void
  readonly onEnd: (session: DomainSession) => Promise<void>
}

/** What became of a domain, with a session unless it is gone. */
export interface ReattachOutcome {
  readonly result: Reattached
  readonly session: DomainSession | null
}

const runStateReply = v.object({ status: v.string(), running: v.boolean() })

// A process that is about to end has no arguments any more, for as long as the kernel takes its memory apart.
const endingMs = 2_000

/**
 * Finds a recorded process again: same boot, same pid, same start, the arguments of this domain, and a monitor that names
 * its UUID. Everything else is another's process and is not touched. One that does not answer is watched until it does or ends.
 */
export async function reattachDomain(
  domain: RunningDomain,
  context: ReattachContext,
  signal: AbortSignal,
): Promise<ReattachOutcome> {
  const gone = await whyGone(domain, context, signal)
  if (gone !== null) return { result: { kind: 'gone', why: gone }, session: null }
  if (context.processes.isStopped(domain.process)) return silent(newSession(domain, context), 'its process is stopped')
  const session = newSession(domain, context)
  // Bounded as a whole: one domain that answers slowly must not hold up all that are found again after it.
  const limit = AbortSignal.any([signal, AbortSignal.timeout(2 * context.greetingTimeoutMs)])
  const limits = { greetingTimeoutMs: context.greetingTimeoutMs }
  try {
    session.attach(await QmpClient.connect(domain.monitorPath, { ...session.connectOptions(limit), limits }))
    const result = await readState(session, domain.uuid, limit)
    if (result.kind === 'running') return { result, session }
    session.detach()
    return { result, session: null }
  } catch (error) {
    session.detach()
    if (signal.aborted) throw abortFault(signal, `find "${domain.name}" again`)
    if (!context.processes.isAlive(domain.process))
      return { result: { kind: 'gone', why: 'process_gone' }, session: null }
    return silent(newSession(domain, context), error instanceof Error ? error.message : String(error))
  }
}

/** A process of this domain that lives although no record says so: its start was interrupted. Confirmed by its monitor if that answers. */
export async function findUnrecordedDomain(
  domain: Pick<RunningDomain, 'uuid' | 'name'>,
  { processes, runDirectory, greetingTimeoutMs }: ReattachContext,
  signal: AbortSignal,
): Promise<RunningDomain | null> {
  const monitorPath = monitorPathOf(runDirectory, domain.uuid)
  const pid = findDomainProcess(processes, { uuid: domain.uuid, monitorPath })
  const process = pid === null ? null : processes.find(pid)
  if (process === null) return null
  if (!processes.isStopped(process) && !(await confirms(domain.uuid, { monitorPath, greetingTimeoutMs, signal })))
    return null
  return { uuid: domain.uuid, name: domain.name, process, monitorPath }
}

async function readState(session: DomainSession, uuid: string, signal: AbortSignal): Promise<Reattached> {
  if ((await queryUuid(session, signal)) !== uuid.toLowerCase()) return { kind: 'gone', why: 'process_is_another' }
  const answer = await session.execute('query-status', {}, { signal })
  const { status, running } = parseQmpValue(answer, { shape: runStateReply, of: 'query-status' })
  const jobs = await queryDomainJobs(session, signal)
  return { kind: 'running', state: running ? 'running' : status === 'prelaunch' ? 'prelaunch' : 'paused', jobs }
}

async function whyGone(
  { uuid, process, monitorPath }: RunningDomain,
  { processes }: ReattachContext,
  signal: AbortSignal,
): Promise<Extract<Reattached, { kind: 'gone' }>['why'] | null> {
  if (process.bootId !== processes.bootId()) return 'host_rebooted'
  const found = processes.find(process.pid)
  if (found === null) return 'process_gone'
  if (found.startTicks !== process.startTicks) return 'process_is_another'
  const args = processes.commandLine(process.pid)
  if (isProcessOf(args, { uuid, monitorPath })) return null
  if (args.length === 0 && (await waitForEnd(process, { processes, limitMs: endingMs, signal }))) return 'process_gone'
  return 'process_is_another'
}

// A monitor that is busy with another client or too slow cannot deny; only another domain's answer does.
async function confirms(
  uuid: string,
  {
    monitorPath,
    greetingTimeoutMs,
    signal,
  }: { readonly monitorPath: string; readonly greetingTimeoutMs: number; readonly signal: AbortSignal },
): Promise<boolean> {
  try {
    const limits = { greetingTimeoutMs, commandTimeoutMs: greetingTimeoutMs }
    await using client = await QmpClient.connect(monitorPath, { signal, limits })
    const shape = v.object({ UUID: v.string() })
    const answer = parseQmpValue(await client.execute('query-uuid', {}, { signal }), { shape, of: 'query-uuid' })
    return answer.UUID.toLowerCase() === uuid.toLowerCase()
  } catch (error) {
    if (signal.aborted) throw error
    return true
  }
}

function newSession(domain: RunningDomain, { processes, onFact, onEnd }: ReattachContext): DomainSession {
  const connect: DomainSessionOptions['connect'] = async (path, options) => await QmpClient.connect(path, options)
  return new DomainSession({ ...domain, processes, onFact, connect, ended: null, onEnd })
}

function silent(session: DomainSession, why: string): ReattachOutcome {
  session.attachSilent()
  return { result: { kind: 'silent', why }, session }
}
