import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { liveRows } from '../../src/live-rows.ts'
import { AppendShares } from '../../src/commands/append-shares.ts'
import { CapsCache, type CapsVersion } from '../../src/commands/caps-cache.ts'
import { LiveReads } from '../../src/commands/live-reads.ts'
import { type Context, record } from '../../src/commands/record.ts'
import { newContext } from '../../src/commands/run-command.ts'
import { Texts } from '../../src/commands/texts.ts'
import type { HostFacts } from '../../src/driver/host-facts.ts'
import { type AnyFact, decodeFact, type FactOf, type FactType, newFact } from '../../src/events/catalogue.ts'
import { emulatorStream } from '../../src/events/stream-names.ts'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import { openEventStore } from '../../src/eventstore/open-event-store.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { FirmwareDescriptors } from '../../src/host/firmware-descriptors.ts'
import { ImageFiles } from '../../src/host/image-files.ts'
import { LocalProcesses } from '../../src/host/local-processes.ts'
import { QemuDriver } from '../../src/qemu/qemu-driver.ts'
import { ReadModels } from '../../src/readmodel/read-models.ts'
import { systemClock } from '../../src/util/clock.ts'
import { sha256 } from '../../src/util/sha256.ts'
import { allProjections } from './all-projections.ts'
import { operator } from './fake-host.ts'
import { testHostId } from './log-kit.ts'
import { testQemuUser } from './qemu-kit.ts'

/** What the machine of a kit says of itself; tests change it. */
export interface KitMachine {
  kernel: string
  microcode: string
  stepping: string
  nested: boolean
  kvm: boolean
  cpuid: string
  secureGuest: string
}

const fakeEmulator = new URL('fake-emulator.py', import.meta.url).pathname

/** Capability versions of real and of fake emulators over a real log, on a machine whose facts can be changed. */
export class CapsKit implements AsyncDisposable {
  readonly directory: string
  readonly modules: string
  readonly firmware: string
  readonly machine: KitMachine = {
    ...{ kernel: '6.1 #1', microcode: '0x1', stepping: '1', nested: false, kvm: true },
    ...{ cpuid: 'c'.repeat(64), secureGuest: 'none' },
  }
  readonly address: PostgresAddress
  readonly store: EventStore
  readonly reads: LiveReads
  #texts: Texts
  /** Hashes of the texts that this life of the daemon has read from the log. */
  readonly textsRead: string[] = []
  /** Starts counted by emulator, as they wrote them. */
  readonly #starts: string
  driver: QemuDriver
  caps: CapsCache

  private constructor(parts: {
    readonly directory: string
    readonly address: PostgresAddress
    readonly store: EventStore
    readonly reads: LiveReads
  }) {
    this.directory = parts.directory
    this.address = parts.address
    this.store = parts.store
    this.reads = parts.reads
    this.modules = join(this.directory, 'modules')
    this.firmware = join(this.directory, 'firmware')
    this.#starts = join(this.directory, 'starts')
    for (const path of [this.modules, this.firmware, this.#starts]) mkdirSync(path)
    chmodSync(this.directory, 0o755)
    chmodSync(this.#starts, 0o777)
    this.#texts = this.#newTexts()
    this.driver = this.newDriver()
    this.caps = this.newCache()
  }

  static async open(address: PostgresAddress): Promise<CapsKit> {
    const models = new ReadModels({ projections: allProjections })
    const holder = { pid: process.pid, startedAtUs: 1n, host: 'vm' }
    const store = await openEventStore({ address, hostId: testHostId, holder, participants: [models] })
    const reads = new LiveReads(liveRows(models))
    return new CapsKit({ directory: mkdtempSync(join(tmpdir(), 'caps-kit-')), address, store, reads })
  }

  /** Another driver on this machine, as another build of the daemon or for another user has it. */
  newDriver(change: { readonly version?: string; readonly uid?: number } = {}): QemuDriver {
    const user = testQemuUser()
    return new QemuDriver({
      host: this.#host(),
      processes: new LocalProcesses(),
      user: user === null || change.uid === undefined ? user : { ...user, uid: change.uid },
      version: change.version ?? '1',
      runDirectory: join(this.directory, 'run'),
      logDirectory: join(this.directory, 'log'),
      moduleDirectories: [this.modules],
    })
  }

  /** Another life of the daemon over the same log, which remembers nothing. */
  restart(): void {
    this.textsRead.length = 0
    this.#texts = this.#newTexts()
    this.driver = this.newDriver()
    this.caps = this.newCache()
  }

  /** Another cache over the same log and memory of texts. */
  newCache({ probeMs = 30_000 }: { readonly probeMs?: number } = {}): CapsCache {
    const limits = { hypervisorMs: 1_000, startMs: 1_000, probeMs, pivotWaitMs: 1_000, pivotRecordMs: 1_000 }
    const { store: log, reads, driver } = this
    const notes = { info: () => undefined, warn: () => undefined, error: () => undefined }
    const images = new ImageFiles({ qemuUser: null })
    const parts = { hostId: testHostId, log, reads, texts: this.#texts, driver, images }
    return new CapsCache({ ...parts, clock: systemClock, notes, limits, shares: new AppendShares() })
  }

  /** An executable text below the directory of the kit; says each start. */
  script(name: string, command: string): string {
    const path = join(this.directory, name)
    writeFileSync(path, `#!/bin/sh\necho >> ${this.#starts}/${name}\nexec ${command} "$@"\n`, { mode: 0o755 })
    return path
  }

  /** An emulator that misbehaves in a way that `fake-emulator.py` knows. */
  fake(mode: string): string {
    return this.script(`qemu-${mode}`, `/usr/bin/python3 ${fakeEmulator} ${mode}`)
  }

  /** How often a script was started. */
  starts(name: string): number {
    const path = join(this.#starts, name)
    return existsSync(path) ? readFileSync(path, 'utf8').length : 0
  }

  context(): Context {
    return newContext({ ...operator, procedure: 'DOMAIN_CREATE' })
  }

  /** The version that a task would take now. */
  async look(binary: string): Promise<CapsVersion> {
    return await this.caps.current(binary, this.context())
  }

  async textOf(hash: string): Promise<string> {
    return await this.#texts.get(hash)
  }

  /** Records the latest probe again as a version of its own with another document. */
  async probedAs(probed: FactOf<'EmulatorProbed'>['data'], document: string): Promise<void> {
    const documentSha256 = sha256(document)
    const fact = newFact('EmulatorProbed', { ...probed, capsId: 'another', documentSha256 })
    const texts = [{ sha256: documentSha256, bytes: Buffer.from(document) }]
    const stream = emulatorStream(sha256(probed.binary))
    await record(
      { log: this.store, hostId: testHostId, clock: systemClock, shares: new AppendShares() },
      this.context(),
      { kind: 'fact', decide: () => [{ stream, facts: [fact], texts }] },
    )
  }

  /** All recorded facts of a type. */
  async facts<Type extends FactType>(type: Type): Promise<readonly FactOf<Type>[]> {
    const found: FactOf<Type>[] = []
    const isWanted = (fact: AnyFact): fact is FactOf<Type> => fact.type === type
    for await (const event of this.store.readAll()) {
      const fact = event.type === type ? decodeFact(event.type, event) : null
      if (fact !== null && isWanted(fact)) found.push(fact)
    }
    return found
  }

  #newTexts(): Texts {
    const { blobs } = this.store
    const read = async (hash: string): Promise<Uint8Array> => {
      this.textsRead.push(hash)
      return await blobs.read(hash)
    }
    return new Texts({ read }, { maxBytes: 1 << 24, maxParsed: 1 })
  }

  #host(): HostFacts {
    const { machine } = this
    const firmware = new FirmwareDescriptors([this.firmware])
    const unused = (): never => {
      throw new Error('a probe and a check read only what they compare')
    }
    return {
      kernel: () => machine.kernel,
      microcode: () => machine.microcode,
      cpu: () => ({ vendor: 'AuthenticAMD', name: 'EPYC', family: '25', model: '1', stepping: machine.stepping }),
      nestedKvm: () => machine.nested,
      kvmUsable: () => machine.kvm,
      cpuid: () => machine.cpuid,
      secureGuest: () => machine.secureGuest,
      firmware: () => firmware.hash(),
      nodeInfo: unused,
      hostname: unused,
      uuid: unused,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close()
    rmSync(this.directory, { recursive: true, force: true })
  }
}
