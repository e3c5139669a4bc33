import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as v from 'valibot'
import type { DriverFact, StartedDomain, StartRequest } from '../driver/driver.ts'
import type { HostFacts, ProcessTable, ProcessUser } from '../driver/host-facts.ts'
import { Fault, isFault } from '../util/fault.ts'
import { buildCommandLine } from './command-line.ts'
import { cardId } from './command-line-network.ts'
import { balloonId } from './command-line-small-devices.ts'
import { connectNewQemu } from './connect-new-qemu.ts'
import { type DomainLog, openDomainLog } from './domain-log.ts'
import { DomainSession, type DomainSessionOptions } from './domain-session.ts'
import type { EmulatorIdentities } from './emulator-identities.ts'
import { qmpNumber } from './block-jobs.ts'
import { QmpClient } from './qmp-client.ts'
import { parseQmpValue } from './qmp-message.ts'
import { freshDirectory } from './run-directory.ts'
import { killGroup, type SpawnedQemu, spawnQemu } from './spawn-qemu.ts'

/** What every start of this driver shares. */
export interface StartContext {
  readonly host: HostFacts
  readonly processes: ProcessTable
  readonly identities: EmulatorIdentities
  /** Null runs QEMU as the daemon's own user. */
  readonly user: ProcessUser | null
  readonly runDirectory: string
  readonly logDirectory: string
  readonly timeoutMs: number
  readonly onFact: (fact: DriverFact) => void
  readonly onEnd: (session: DomainSession) => Promise<void>
}

/** A domain that was started. */
export interface StartOutcome {
  readonly session: DomainSession
  readonly started: StartedDomain
}

// The kernel may hold a killed process until its reads and writes are done.
const killedMs = 10_000

// With its CPUs stopped a QEMU has hardly anything to report.
const maxHeldFacts = 100

const uuidReply = v.object({ UUID: v.string() })
const kvmReply = v.object({ enabled: v.boolean() })
const chardevReply = v.array(v.object({ label: v.string(), filename: v.string() }))

/** Where a domain's run keeps its monitor, its pid file and the sockets of its channels. */
export function domainDirectory(runDirectory: string, uuid: string): string {
  return join(runDirectory, uuid)
}

/** Socket of a domain's monitor. */
export function monitorPathOf(runDirectory: string, uuid: string): string {
  return join(domainDirectory(runDirectory, uuid), 'monitor.sock')
}

/** Starts a domain with its CPUs stopped. A failure leaves neither a process nor a directory behind and says what QEMU wrote last. */
export async function startDomain(
  request: StartRequest,
  context: StartContext,
  signal: AbortSignal,
): Promise<StartOutcome> {
  const { uuid, name, caps } = request
  const action = `start "${name}"`
  const accelerator = acceleratorOf(request, context)
  const directory = domainDirectory(context.runDirectory, uuid)
  const monitorPath = monitorPathOf(context.runDirectory, uuid)
  const paths = { directory, monitor: monitorPath, pidFile: join(directory, 'qemu.pid') }
  const args = buildCommandLine({ ...request, accelerator, paths, nowMs: Date.now() })
  if (existsSync(directory)) refuseSecondProcess(request, context, monitorPath)
  await freshDirectory(directory, { parent: context.runDirectory, user: context.user })
  const headline = `${new Date().toISOString()} starting ${[caps.binary, ...args].map(quoted).join(' ')}`
  await using log = await openDomainLog(context.logDirectory, { name, uuid, headline })
  const facts = new HeldFacts(context.onFact)
  let child: SpawnedQemu | null = null
  let session: DomainSession | null = null
  try {
    child = await spawnQemu({ binary: caps.binary, args, user: context.user, outputDescriptor: log.descriptor, action })
    session = newSession(request, { context: { ...context, onFact: facts.push }, child, monitorPath })
    const wait = { ...session.connectOptions(signal), process: child, timeoutMs: context.timeoutMs }
    session.attach(await connectNewQemu(monitorPath, wait))
    const running = context.processes.executable(child.pid)
    context.identities.checkExecutable(running, { pid: child.pid, recorded: request.identity })
    await checkAnswers(session, { uuid, accelerator, signal })
    await applyInitialState(session, request, signal)
    const started = {
      process: session.options.process,
      monitorPath,
      commandLine: [caps.binary, ...args],
      virtType: accelerator === 'kvm' ? 'kvm' : 'qemu',
      terminals: await terminalsOf(session, signal),
      vncPorts: request.vncPorts,
    } as const
    facts.release()
    return { session, started }
  } catch (error) {
    session?.detach()
    if (child !== null) {
      killGroup(child)
      await Promise.race([child.ended, sleep(killedMs, undefined, { ref: false })])
    }
    const explained = await withTail(error, { action, log })
    await rm(directory, { recursive: true, force: true })
    throw explained
  }
}

/** Facts of a QEMU whose start is not decided: a start that fails is an error, not the end of a run. */
class HeldFacts {
  readonly #onFact: (fact: DriverFact) => void
  #held: DriverFact[] | null = []

  constructor(onFact: (fact: DriverFact) => void) {
    this.#onFact = onFact
  }

  readonly push = (fact: DriverFact): void => {
    if (this.#held === null) this.#onFact(fact)
    else if (this.#held.length < maxHeldFacts) this.#held.push(fact)
  }

  release(): void {
    for (const fact of this.#held ?? []) this.#onFact(fact)
    this.#held = null
  }
}

function acceleratorOf({ name, definition }: StartRequest, { host }: StartContext): 'kvm' | 'tcg' {
  if (definition.type === 'qemu') return 'tcg'
  if (definition.type !== 'kvm') {
    throw new Fault(
      'config_unsupported',
      `Cannot start "${name}": its type is "${definition.type}", it must be kvm or qemu`,
    )
  }
  if (host.kvmUsable()) return 'kvm'
  const state = 'the QEMU user cannot use /dev/kvm'
  throw new Fault(
    'config_unsupported',
    `Cannot start "${name}": it needs KVM, and ${state}; type "qemu" would run without`,
  )
}

// Two processes on one image destroy it: better a start refused for a leftover than a guess.
function refuseSecondProcess({ uuid, name }: StartRequest, { processes }: StartContext, monitorPath: string): void {
  const pid = findDomainProcess(processes, { uuid, monitorPath })
  if (pid === null) return
  throw new Fault('operation_invalid', `Cannot start "${name}": process ${pid} runs it already, it must be ended first`)
}

/** Pid of a living QEMU that was started for this domain with this monitor; null when there is none. */
export function findDomainProcess(
  processes: ProcessTable,
  { uuid, monitorPath }: { readonly uuid: string; readonly monitorPath: string },
): number | null {
  for (const pid of processes.list()) {
    if (isProcessOf(processes.commandLine(pid), { uuid, monitorPath }) && processes.find(pid) !== null) return pid
  }
  return null
}

/** Whether arguments are those of a QEMU started for this domain with this monitor. */
export function isProcessOf(
  args: readonly string[],
  { uuid, monitorPath }: { readonly uuid: string; readonly monitorPath: string },
): boolean {
  const place = args.indexOf('-uuid')
  const path = `path=${monitorPath.replaceAll(',', ',,')}`
  return place !== -1 && args[place + 1] === uuid && args.some((arg) => `${arg},`.includes(`,${path},`))
}

function newSession(
  { uuid, name }: StartRequest,
  {
    context,
    child,
    monitorPath,
  }: { readonly context: StartContext; readonly child: SpawnedQemu; readonly monitorPath: string },
): DomainSession {
  const { processes, onFact, onEnd } = context
  const process = processes.find(child.pid)
  if (process === null) throw new Fault('operation_failed', `Cannot start "${name}": its process ended at once`)
  const connect: DomainSessionOptions['connect'] = async (path, options) => await QmpClient.connect(path, options)
  return new DomainSession({
    ...{ uuid, name, process, monitorPath, processes, onFact, connect },
    ended: child.ended,
    onEnd,
  })
}

interface ExpectedAnswers {
  readonly uuid: string
  readonly accelerator: 'kvm' | 'tcg'
  readonly signal: AbortSignal
}

async function checkAnswers(session: DomainSession, { uuid, accelerator, signal }: ExpectedAnswers): Promise<void> {
  const found = await queryUuid(session, signal)
  if (found !== uuid.toLowerCase()) throw new Fault('operation_failed', `Cannot use this QEMU: it runs domain ${found}`)
  const kvm = parseQmpValue(await session.execute('query-kvm', {}, { signal }), { shape: kvmReply, of: 'query-kvm' })
  if (kvm.enabled !== (accelerator === 'kvm')) {
    throw new Fault(
      'operation_failed',
      `Cannot use this QEMU: KVM is ${kvm.enabled ? 'on' : 'off'}, wanted is ${accelerator}`,
    )
  }
}

/** UUID of the domain that a monitor belongs to, lower case. */
export async function queryUuid(session: DomainSession, signal: AbortSignal): Promise<string> {
  const answer = await session.execute('query-uuid', {}, { signal })
  return parseQmpValue(answer, { shape: uuidReply, of: 'query-uuid' }).UUID.toLowerCase()
}

/** What QEMU has no argument for. */
async function applyInitialState(
  session: DomainSession,
  { definition }: StartRequest,
  signal: AbortSignal,
): Promise<void> {
  const { devices, memory, currentMemory } = definition
  const run = async (command: string, args: object): Promise<unknown> =>
    await session.execute(command, args, { signal })
  for (const [place, card] of devices.interfaces.entries()) {
    if (card.link?.state === 'down') await run('set_link', { name: cardId(place), up: false })
  }
  if (devices.memballoon === undefined || devices.memballoon.model === 'none') return
  if (currentMemory !== undefined && currentMemory.kib < memory.kib) {
    await run('balloon', { value: qmpNumber(currentMemory.kib * 1024n, 'balloon size') })
  }
  const periodS = devices.memballoon.stats?.periodS ?? 0
  if (periodS > 0) {
    await run('qom-set', {
      path: `/machine/peripheral/${balloonId}`,
      property: 'guest-stats-polling-interval',
      value: periodS,
    })
  }
}

/** Pseudo terminals by device alias. */
async function terminalsOf(session: DomainSession, signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
  const devices = parseQmpValue(await session.execute('query-chardev', {}, { signal }), {
    shape: chardevReply,
    of: 'query-chardev',
  })
  const prefix = 'pty:'
  const terminals = devices
    .filter(({ label, filename }) => label.startsWith('char') && filename.startsWith(prefix))
    .map(({ label, filename }) => [label.slice('char'.length), filename.slice(prefix.length)] as const)
  return Object.fromEntries(terminals)
}

async function withTail(
  error: unknown,
  { action, log }: { readonly action: string; readonly log: DomainLog },
): Promise<unknown> {
  if (!isFault(error) || error.message.startsWith(`Cannot ${action}`)) return error
  const tail = await log.tail().catch(() => '')
  const words = tail === '' ? error.message : `${error.message}; QEMU wrote "${tail}" (${log.path})`
  return new Fault(error.kind, `Cannot ${action}: ${words}`, { cause: error })
}

function quoted(arg: string): string {
  return /^[\w@%+=:,./-]+$/.test(arg) ? arg : `'${arg.replaceAll("'", `'\\''`)}'`
}
