import { allProjections } from './all-projections.ts'
import { MemoryLog } from './memory-log.ts'
import { MemoryRows } from './memory-rows.ts'
import { diskLayersTable } from '../../projections/backing-chains.ts'
import { type BlockJobRow, blockJobsTable } from '../../projections/block-jobs.ts'
import { claimsTable } from '../../projections/claims.ts'
import { domainDefinitionsTable } from '../../projections/domain-definitions.ts'
import { domainStatesTable } from '../../projections/domain-states.ts'
import { emulatorsTable } from '../../projections/emulators.ts'
import { openIntentsTable } from '../../projections/open-intents.ts'
import { snapshotDisksTable, snapshotsTable } from '../../projections/snapshots.ts'
import { AppendShares } from '../../src/commands/append-shares.ts'
import type { Caller } from '../../src/commands/caller.ts'
import { CapsCache } from '../../src/commands/caps-cache.ts'
import { commandService } from '../../src/commands/command-service.ts'
import type { CommitRequest, Commands, SnapshotRequest } from '../../src/commands/commands.ts'
import type { CrashPoint } from '../../src/commands/crash-points.ts'
import { DomainJobs } from '../../src/commands/domain-jobs.ts'
import type { CommandLimits, Host, Log } from '../../src/commands/host.ts'
import { JobEnds } from '../../src/commands/job-ends.ts'
import { JobRunner } from '../../src/commands/job-runner.ts'
import { LiveReads } from '../../src/commands/live-reads.ts'
import { reconcileAll } from '../../src/commands/reconcile.ts'
import { domainIn } from '../../src/commands/record.ts'
import { Refusals } from '../../src/commands/refusals.ts'
import { Texts } from '../../src/commands/texts.ts'
import type { Driver } from '../../src/driver/driver.ts'
import type { Images } from '../../src/driver/images.ts'
import { decodeFact } from '../../src/events/catalogue.ts'
import { type Domain, noDomain } from '../../src/model/domain.ts'
import { followDriverFacts } from '../../src/reactors/driver-facts.ts'
import { ScriptedTime } from '../../src/testdriver/scripted-time.ts'
import { TestDriver } from '../../src/testdriver/test-driver.ts'
import { TestImages } from '../../src/testdriver/test-images.ts'
import { TestScript } from '../../src/testdriver/test-script.ts'
import { TestWorld } from '../../src/testdriver/test-world.ts'
import { MemoryWorldStore } from '../../src/testdriver/world-store.ts'
import type { Clock } from '../../src/util/clock.ts'

/** A signal that never aborts. */
export const never = new AbortController().signal

/** Somebody who asks for things. */
export const operator: Caller = {
  actor: { uid: 1000, gid: 1000, pid: 4711, program: 'virsh', address: 'unix', authentication: 'peer' },
  procedure: 'TEST',
  reason: null,
  onReady: 'keep',
}

/** Another one, told apart by uid. */
export function callerOf(uid: number, change: Partial<Caller> = {}): Caller {
  return { ...operator, actor: { ...operator.actor, uid }, ...change }
}

/** Images of a daemon; as a function, made over the world of its machines. */
export type ImagesOf = Images | ((world: TestWorld) => Images)

/** What a fault run does at a crash point: nothing, throw, or wait for ever (`die`). */
export type AtPoint = (point: CrashPoint, daemon: FakeDaemon) => Promise<void> | void

/** What outlives a daemon: the log, the hypervisor's machines and files, time. */
export class FakeMachine {
  readonly time = new ScriptedTime()
  readonly store = new MemoryWorldStore()
  readonly script = new TestScript()
  readonly clock: Clock = {
    nowUs: () => BigInt(this.time.nowMs()) * 1000n,
    monotonicMs: () => this.time.nowMs(),
  }
  readonly log = new MemoryLog(() => this.clock.nowUs())
  bootId = 'boot-1'

  /** Starts a daemon: the first one, or another one after the last was killed. */
  boot(
    options: { readonly at?: AtPoint; readonly limits?: Partial<CommandLimits>; readonly images?: ImagesOf } = {},
  ): FakeDaemon {
    return new FakeDaemon(this, options)
  }

  /** A domain as its stream tells. */
  async domain(uuid: string): Promise<Domain> {
    let domain = noDomain
    await this.log.append((turn) => {
      domain = domainIn(turn, uuid)
      return []
    })
    return domain
  }
}

/** One life of a daemon on a fake machine: everything but sockets and PostgreSQL is the real thing. */
export class FakeDaemon {
  readonly machine: FakeMachine
  readonly host: Host
  readonly commands: Commands
  readonly models: MemoryRows
  readonly driver: TestDriver
  readonly world: TestWorld
  readonly notes: { readonly level: string; readonly message: string; readonly fields: object }[] = []
  readonly runner: JobRunner
  #isDead = false
  readonly #end = new AbortController()
  readonly #taker: { take(events: MemoryLog['events']): void }

  constructor(
    machine: FakeMachine,
    options: { readonly at?: AtPoint; readonly limits?: Partial<CommandLimits>; readonly images?: ImagesOf },
  ) {
    this.machine = machine
    this.models = new MemoryRows(allProjections)
    const jobEnds = new JobEnds(this.models.rows(blockJobsTable))
    this.#taker = {
      take: (events) => {
        this.models.apply(...events)
        for (const event of events) {
          const { data } = decodeFact(event.type, event)
          if ('jobId' in data) jobEnds.noteCommit(data.jobId)
        }
      },
    }
    this.#taker.take(machine.log.events)
    machine.log.takers.add(this.#taker)
    this.world = new TestWorld({ store: machine.store, bootId: machine.bootId, timers: machine.time })
    this.driver = new TestDriver({ world: this.world, script: machine.script })
    const runner = new JobRunner(() => this.host)
    this.runner = runner
    this.host = this.#compose({ jobEnds, runner, options })
    this.commands = commandService(this.host)
    void followDriverFacts(this.host, runner, this.#end.signal)
  }

  /** The daemon is gone from one moment to the next: whatever it was doing never goes on. */
  kill(): void {
    this.#isDead = true
    this.#end.abort()
    this.machine.log.takers.delete(this.#taker)
    void this.driver.detach()
  }

  /** To be awaited at a crash point: kills the daemon and never returns. */
  async die(): Promise<never> {
    this.kill()
    return await forever()
  }

  /** The next daemon, reconciled with the world as at every start. */
  async restarted(options: { readonly at?: AtPoint } = {}): Promise<FakeDaemon> {
    if (!this.#isDead) this.kill()
    await this.machine.time.advance(0)
    const next = this.machine.boot(options)
    await reconcileAll(next.host)
    await this.machine.time.advance(0)
    return next
  }

  rowsOf(uuid: string): readonly BlockJobRow[] {
    return [...this.models.rows(blockJobsTable).all()].filter((row) => row.domain_uuid === uuid)
  }

  /** Paths of the chain of a disk as the live view has it. */
  chain(uuid: string, disk = 'vda'): readonly string[] {
    return (this.host.reads.chains(uuid).byDisk[disk] ?? []).map((layer) => layer.path)
  }

  /** Paths of the chain of a disk as the hypervisor has it. */
  async hypervisorChain(uuid: string, disk = 'vda'): Promise<readonly string[]> {
    const chains = await this.driver.queryChains(uuid, never)
    return (chains.find((chain) => chain.target === disk)?.layers ?? []).map((layer) => layer.path)
  }

  #compose(parts: {
    readonly jobEnds: JobEnds
    readonly runner: JobRunner
    readonly options: { readonly at?: AtPoint; readonly limits?: Partial<CommandLimits>; readonly images?: ImagesOf }
  }): Host {
    const { machine, models } = this
    const { clock } = machine
    const log: Log = this.#mortal(machine.log)
    const driver: Driver = this.#mortal(this.driver)
    const given = parts.options.images ?? new TestImages(this.world)
    const images: Images = this.#mortal(typeof given === 'function' ? given(this.world) : given)
    const notes = {
      info: (fields: object, message: string) => void this.notes.push({ level: 'info', fields, message }),
      warn: (fields: object, message: string) => void this.notes.push({ level: 'warn', fields, message }),
      error: (fields: object, message: string) => void this.notes.push({ level: 'error', fields, message }),
    }
    const reads = new LiveReads({
      definitions: models.rows(domainDefinitionsTable),
      states: models.rows(domainStatesTable),
      layers: models.rows(diskLayersTable),
      jobs: models.rows(blockJobsTable),
      snapshots: models.rows(snapshotsTable),
      snapshotDisks: models.rows(snapshotDisksTable),
      emulators: models.rows(emulatorsTable),
      claims: models.rows(claimsTable),
      intents: models.rows(openIntentsTable),
    })
    const limits: CommandLimits = {
      hypervisorMs: 5_000,
      startMs: 5_000,
      probeMs: 5_000,
      pivotWaitMs: 5_000,
      pivotRecordMs: 2_000,
      ...parts.options.limits,
    }
    const shares = new AppendShares()
    const hostId = '6b8b4567-0000-4000-8000-00000000face'
    const texts = new Texts(log.blobs, { maxBytes: 1 << 20, maxParsed: 16 })
    return {
      hostId,
      log,
      reads,
      texts,
      driver,
      images,
      jobs: new DomainJobs(clock, { waitMs: 5_000, maxWaiting: 16 }),
      caps: new CapsCache({ hostId, log, clock, notes, reads, texts, driver, images, limits, shares }),
      refusals: new Refusals({ log, hostId, clock, notes, shares }, machine.time),
      shares,
      jobEnds: parts.jobEnds,
      carryOn: async (step) => await parts.runner.carryOn(step),
      clock,
      reach: async (point) => {
        if (this.#isDead) await forever()
        await parts.options.at?.(point, this)
      },
      notes,
      limits,
      unsettled: new Set(),
      vncPorts: { first: 5900, last: 5999 },
    }
  }

  /** The same thing until this daemon dies; from then on nothing that is asked of it happens or is answered. */
  #mortal<Part extends object>(part: Part): Part {
    return new Proxy(part, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name)
        if (typeof member !== 'function') return member
        return (...args: readonly unknown[]): unknown =>
          this.#isDead ? forever() : this.#orForever(Reflect.apply(member, target, args))
      },
    })
  }

  async #unlessDead(promise: Promise<unknown>): Promise<unknown> {
    const result = await promise.then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    )
    if (this.#isDead) await forever()
    if ('error' in result) throw result.error
    return result.value
  }

  #orForever(result: unknown): unknown {
    return result instanceof Promise ? this.#unlessDead(result) : result
  }
}

async function forever(): Promise<never> {
  return await new Promise<never>(() => {})
}

/** A definition for the test driver: one or more disks by target, each with the path of its image. */
export function definitionOf(
  name: string,
  options: {
    readonly uuid?: string
    readonly disks?: Readonly<Record<string, string>>
    readonly devices?: string
  } = {},
): string {
  const { uuid, disks = { vda: `/images/${name}.qcow2` }, devices = '' } = options
  const disksXml = Object.entries(disks).map(
    ([target, path]) =>
      `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${path}'/><target dev='${target}' bus='virtio'/></disk>`,
  )
  const uuidXml = uuid === undefined ? '' : `<uuid>${uuid}</uuid>`
  return `<domain type='test'><name>${name}</name>${uuidXml}<memory unit='MiB'>64</memory><os><type>hvm</type></os><devices>${disksXml.join('')}${devices}</devices></domain>`
}

/** A disk-only snapshot as virsh asks for it. */
export function snapshotOf(uuid: string, name: string, change: Partial<SnapshotRequest> = {}): SnapshotRequest {
  const xml = `<domainsnapshot><name>${name}</name></domainsnapshot>`
  return { uuid, xml, diskOnly: true, reuseExternal: false, noMetadata: false, ...change }
}

/** A commit of the active image into what it stands on, or into `base`. */
export function commitOf(uuid: string, change: Partial<CommitRequest> = {}): CommitRequest {
  return { uuid, disk: 'vda', base: null, top: null, active: true, shallow: false, bytesPerSecond: 0n, ...change }
}
