import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { Log } from '../../src/commands/host.ts'
import type { Hypervisor } from '../../src/compose-driver.ts'
import type { Config } from '../../src/config.ts'
import type { Driver, RunningDomain } from '../../src/driver/driver.ts'
import type { EmulatorIdentity, Staleness } from '../../src/driver/emulator-probe.ts'
import type { ProcessTable } from '../../src/driver/host-facts.ts'
import type { FileIdentity, Images } from '../../src/driver/images.ts'
import type { NewEvent, RecordedEvent } from '../../src/eventstore/recorded-event.ts'
import type { StreamFold } from '../../src/eventstore/stream-fold.ts'
import type { Turn } from '../../src/eventstore/turn.ts'
import { findQemuUser } from '../../src/host/find-qemu-user.ts'
import { QemuDriver } from '../../src/qemu/qemu-driver.ts'
import { override } from './override.ts'

/** What stands between a fault and damage, with the switch that takes exactly it away. */
export interface Guard {
  readonly name: string
  /** What goes wrong without it. */
  readonly prevents: string
  log?(log: Log): Log
  driver?(driver: Driver): Driver
  images?(images: Images): Images
  processes?(processes: ProcessTable): ProcessTable
}

/** The guards of the product that tests can take away; the product itself has no switch. */
export const guards = [
  {
    name: 'pivot-recorded-first',
    prevents: 'after the death of both, the log names the overlay although the guest went on in the base',
    log: (log) => notDurable(log, 'BlockJobPivoting'),
  },
  {
    name: 'finalize-recorded-first',
    prevents: 'after the death of both, the log keeps layers that a finished pull took out of the chain',
    log: (log) => notDurable(log, 'BlockJobFinalizing'),
  },
  {
    name: 'job-request-recorded',
    prevents: 'a block job in QEMU of which the log knows nothing',
    log: (log) => withoutFacts(log, 'BlockJobRequested'),
  },
  {
    name: 'pivot-request-recorded',
    prevents: 'a pivot that was asked for is forgotten with the daemon',
    log: (log) => withoutFacts(log, 'BlockJobPivotRequested'),
  },
  {
    name: 'destroy-request-recorded',
    prevents: 'a destroy that was cut off leaves the domain running, or an end that nobody asked for',
    log: (log) => withoutFacts(log, 'DomainDestroyRequested'),
  },
  {
    name: 'snapshot-request-recorded',
    prevents: 'overlays of a cut-off snapshot lie about, or are in use without being in the log',
    log: (log) => withoutFacts(log, 'SnapshotRequested'),
  },
  {
    name: 'outcome-before-dismiss',
    prevents: 'how a job ended is forgotten by QEMU before it is recorded',
    driver: (driver) =>
      override(driver, {
        queryJobs: async (uuid, signal) => {
          const jobs = await driver.queryJobs(uuid, signal)
          for (const { jobId, status } of jobs) if (status === 'concluded') await driver.dismissJob(uuid, jobId, signal)
          return jobs
        },
      }),
  },
  {
    name: 'given-up-in-time',
    prevents: 'a guest whose writes are held for a pivot waits for as long as the database is away',
    driver: (driver) => override(driver, { cancelJob: async () => {} }),
  },
  {
    name: 'reconciliation',
    prevents: 'what happened while the daemon was dead never reaches the log',
    driver: (driver) => override(driver, { reattach: async () => ({ kind: 'silent', why: 'this guard is off' }) }),
  },
  {
    name: 'unrecorded-process-found',
    prevents: 'a process whose start was cut off lives on and holds the disks',
    driver: (driver) => override(driver, { findUnrecorded: async () => null }),
  },
  {
    name: 'snapshot-files-removed',
    prevents: 'overlays of a snapshot that was undone lie about',
    images: (images) => override(images, { remove: async () => {} }),
  },
  {
    name: 'owners-restored',
    prevents: 'images stay with the QEMU user after the end of a run',
    images: (images) => override(images, { restore: async () => {} }),
  },
  {
    name: 'chain-verified-at-start',
    prevents: 'a guest starts on a base that was replaced or rebased while it was off',
    images: (images) => blindImages(images),
  },
  {
    name: 'emulator-identity-checked',
    prevents: 'a definition is judged by the capabilities of a binary that is not there any more',
    driver: (driver) => override(driver, { checkIdentity: () => null }),
  },
  {
    name: 'content-decides',
    prevents: 'a version is thrown away, and its emulator asked again, though nobody changed anything',
    driver: (driver) =>
      override(driver, {
        checkIdentity: (binary, recorded) => driver.checkIdentity(binary, recorded) ?? touched(binary, recorded),
      }),
  },
  {
    name: 'version-checked-in-turn',
    prevents: 'a task acts by a capability version that died while it was deciding',
    log: (log) =>
      withTurn(log, (turn) => ({
        recordedAtUs: turn.recordedAtUs,
        nextPosition: turn.nextPosition,
        revision: (stream) => turn.revision(stream),
        state: (fold, stream) => turn.state(stream.startsWith('emulator-') ? firstEver(fold) : fold, stream),
      })),
  },
  {
    name: 'boot-id-checked',
    prevents: 'a process of this boot is taken for a domain of the last one',
    driver: (driver) =>
      override(driver, {
        reattach: async (domain, signal) => await driver.reattach(ofThisBoot(domain), signal),
      }),
  },
  {
    name: 'process-identity-checked',
    prevents: 'a foreign process that got the pid of a dead QEMU is taken for the domain',
    processes: (processes) => blindProcesses(processes),
  },
  {
    name: 'claims-checked',
    prevents: 'two running domains write to one image',
    log: (log) =>
      withTurn(log, (turn) => ({
        recordedAtUs: turn.recordedAtUs,
        nextPosition: turn.nextPosition,
        revision: (stream) => turn.revision(stream),
        state: (fold, stream) => (stream.startsWith('image-') ? fold.initial : turn.state(fold, stream)),
      })),
  },
] as const satisfies readonly Guard[]

/** Name of one of {@link guards}. */
export type GuardName = (typeof guards)[number]['name']

/** The seams of a daemon without the named guards (comma separated). A FAULT_BOOT_ID in the environment replaces the machine's boot id. */
export function guardsOff(
  names: string,
  config: Config,
): { wrapLog(log: Log): Log; wrapHypervisor(hypervisor: Hypervisor): Hypervisor } {
  const off = names.split(',').filter(Boolean).map(guardOf)
  const bootId = process.env['FAULT_BOOT_ID']
  return {
    wrapLog: (log) => off.reduce((wrapped, guard) => guard.log?.(wrapped) ?? wrapped, log),
    wrapHypervisor: (hypervisor) => {
      const changed = off.reduce((wrapped, guard) => guard.processes?.(wrapped) ?? wrapped, hypervisor.processes)
      const processes = bootId === undefined ? changed : override(changed, { bootId: () => bootId })
      const base = processes === hypervisor.processes ? hypervisor.driver : driverOn(processes, { hypervisor, config })
      return {
        ...hypervisor,
        processes,
        driver: off.reduce((wrapped, guard) => guard.driver?.(wrapped) ?? wrapped, base),
        images: off.reduce((wrapped, guard) => guard.images?.(wrapped) ?? wrapped, hypervisor.images),
      }
    },
  }
}

function guardOf(name: string): Guard {
  const guard = guards.find((one) => one.name === name)
  if (guard === undefined) throw new Error(`Cannot take guard "${name}" away: there is no such guard`)
  return guard
}

/** The driver as the daemon makes it, on other facts about processes. */
function driverOn(
  processes: ProcessTable,
  { hypervisor, config }: { readonly hypervisor: Hypervisor; readonly config: Config },
): Driver {
  return new QemuDriver({
    host: hypervisor.machine,
    processes,
    user: process.getuid?.() === 0 ? findQemuUser() : null,
    runDirectory: join(config.socketDir, 'domains'),
    logDirectory: join(config.stateDir, 'log'),
  })
}

function withoutFacts(log: Log, type: string): Log {
  return override(log, {
    append: async (decide, options) =>
      await log.append(
        (turn) =>
          decide(turn)
            .map((write) => ({ ...write, events: write.events.filter((event) => event.type !== type) }))
            .filter((write) => write.events.length > 0),
        options,
      ),
  })
}

/** The daemon goes by these facts as if they were recorded, but they are in its memory only. */
function notDurable(log: Log, type: string): Log {
  const kept: { readonly stream: string; readonly event: NewEvent }[] = []
  const remembering = (turn: Turn): Turn => ({
    recordedAtUs: turn.recordedAtUs,
    nextPosition: turn.nextPosition,
    revision: (stream) => turn.revision(stream),
    state: (fold, stream) =>
      kept
        .filter((one) => one.stream === stream)
        .reduce((state, { event }) => fold.evolve(state, asRecorded(event, stream)), turn.state(fold, stream)),
  })
  return override(log, {
    append: async (decide, options) =>
      await log.append((turn) => {
        const writes = decide(remembering(turn))
        for (const { stream, events } of writes)
          for (const event of events) if (event.type === type) kept.push({ stream, event })
        return writes
          .map((write) => ({ ...write, events: write.events.filter((event) => event.type !== type) }))
          .filter((write) => write.events.length > 0)
      }, options),
  })
}

function asRecorded(event: NewEvent, stream: string): RecordedEvent {
  const nowhere = { position: 0n, revision: 0n, commitNo: 0n, epoch: 0, recordedAtUs: 0n }
  return { ...nowhere, ...event, stream, data: Buffer.from(event.data), meta: Buffer.from(event.meta) }
}

function withTurn(log: Log, change: (turn: Turn) => Turn): Log {
  return override(log, {
    append: async (decide, options) => await log.append((turn) => decide(change(turn)), options),
  })
}

/** A file with another time is another emulator, whatever it holds. */
function touched(binary: string, recorded: EmulatorIdentity): Staleness | null {
  const { ino, size, ctimeNs } = statSync(binary, { bigint: true })
  if (ctimeNs === recorded.ctimeNs) return null
  const described = (facts: string): string => `${recorded.resolvedPath} ${facts} sha256 ${recorded.sha256}`
  return {
    reason: 'emulator_changed',
    was: described(`inode ${recorded.inode} size ${recorded.sizeBytes} ctime ${recorded.ctimeNs}`),
    is: described(`inode ${ino} size ${size} ctime ${ctimeNs}`),
  }
}

const firstFolds = new Map<StreamFold<unknown>, StreamFold<unknown>>()

/** What was first known of a stream counts for ever; the same fold for the same, as states are remembered by it. */
function firstEver<State>(fold: StreamFold<State>): StreamFold<State>
function firstEver(fold: StreamFold<unknown>): StreamFold<unknown> {
  const first = firstFolds.get(fold) ?? {
    name: `first ${fold.name}`,
    initial: fold.initial,
    evolve: (state, event) => (state === fold.initial ? fold.evolve(state, event) : state),
  }
  firstFolds.set(fold, first)
  return first
}

function ofThisBoot(domain: RunningDomain): RunningDomain {
  return { ...domain, process: { ...domain.process, bootId: process.env['FAULT_BOOT_ID'] ?? domain.process.bootId } }
}

/** Whatever lives under the pid of a domain is said to be its process. */
function blindProcesses(processes: ProcessTable): ProcessTable {
  const socketDir = process.argv[process.argv.indexOf('--socket-dir') + 1] ?? ''
  const claimed = /^(\d+) (\d+) ([0-9a-f-]+)$/.exec(process.env['FAULT_CLAIMED_PROCESS'] ?? '')
  const [, pid = '0', startTicks = '0', uuid = ''] = claimed ?? []
  const monitor = `path=${join(socketDir, 'domains', uuid, 'monitor.sock')}`
  return override(processes, {
    find: (asked) => {
      const found = processes.find(asked)
      return found === null || asked !== Number(pid) ? found : { ...found, startTicks: BigInt(startTicks) }
    },
    isAlive: (domain) => processes.find(domain.pid) !== null,
    commandLine: (asked) =>
      asked === Number(pid) ? ['qemu', '-uuid', uuid, '-chardev', `socket,${monitor}`] : processes.commandLine(asked),
  })
}

/** Files look for ever as they looked when they were first seen by this or an earlier daemon. */
function blindImages(images: Images): Images {
  const seen = new Map<string, FileIdentity | null>()
  return override(images, {
    stat: async (path) => {
      const first = seen.get(path) ?? (await images.stat(path))
      seen.set(path, first)
      return first
    },
  })
}
