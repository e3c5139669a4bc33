import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { completeDomain } from '../../src/conf/complete-domain.ts'
import type { DomainDef } from '../../src/conf/domain-def.ts'
import type { EmulatorFacts } from '../../src/conf/emulator-facts.ts'
import { hostModelOf } from '../../src/conf/host-model.ts'
import { parseDomain } from '../../src/conf/parse-domain.ts'
import type {
  DiskChain,
  DriverFact,
  ProcessIdentity,
  RunningDomain,
  StartedDomain,
  StartRequest,
} from '../../src/driver/driver.ts'
import type { EmulatorProbe } from '../../src/driver/emulator-probe.ts'
import { findQemuUser } from '../../src/host/find-qemu-user.ts'
import { ImageFiles } from '../../src/host/image-files.ts'
import { LocalHost } from '../../src/host/local-host.ts'
import { LocalProcesses } from '../../src/host/local-processes.ts'
import { QemuDriver, type QemuDriverOptions } from '../../src/qemu/qemu-driver.ts'
import type { ProcessUser } from '../../src/driver/host-facts.ts'

/** The emulator that tests run. */
export const testEmulator = '/usr/bin/qemu-system-x86_64'

/** Never aborts. */
export const never = new AbortController().signal

/** The user that QEMU gets in tests: as in production when the tests run as root, else the tester. */
export function testQemuUser(): ProcessUser | null {
  if (process.getuid?.() !== 0) return null
  const found = findQemuUser()
  return found === null ? null : { uid: found.uid, gid: found.gid }
}

/** Facts for definitions out of a probe. */
export function factsOf(probe: EmulatorProbe): EmulatorFacts {
  return {
    capsId: 'caps-test',
    binary: probe.binary,
    arch: probe.arch,
    version: BigInt(probe.version),
    virtTypes: probe.virtTypes,
    machines: probe.machines.map((machine) => ({ ...machine, alias: machine.alias ?? undefined })),
    cpuModels: probe.cpuModels,
    flags: new Set(probe.flags),
  }
}

/** A definition completed as `define` does it. */
export function definitionOf(xml: string, facts: EmulatorFacts): DomainDef {
  const fresh = {
    uuid: '00000000-0000-4000-8000-000000000001',
    randomBytes: (count: number) => new Uint8Array(count).fill(7),
  }
  return completeDomain(parseDomain(xml), facts, fresh)
}

/** A small domain as XML. */
export function smallXml({
  name,
  uuid,
  type = 'qemu',
  devices = '',
}: {
  readonly name: string
  readonly uuid: string
  readonly type?: string
  readonly devices?: string
}): string {
  return `<domain type='${type}'><name>${name}</name><uuid>${uuid}</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu>
    <os><type arch='x86_64' machine='q35'>hvm</type><boot dev='hd'/></os><features><acpi/></features>
    <devices><emulator>${testEmulator}</emulator>${devices}<memballoon model='virtio'/></devices></domain>`
}

/** A disk for {@link smallXml}. */
export function diskXml(
  path: string,
  {
    target = 'vda',
    format = 'qcow2',
    driver = '',
  }: { readonly target?: string; readonly format?: string; readonly driver?: string } = {},
): string {
  return `<disk type='file' device='disk'><driver name='qemu' type='${format}' ${driver}/><source file='${path}'/><target dev='${target}'/></disk>`
}

/** Real QEMU under the real driver, in a directory of its own; the end of the kit ends every process that it started. */
export class QemuKit implements AsyncDisposable {
  readonly directory: string
  readonly processes = new LocalProcesses()
  readonly images: ImageFiles
  readonly user = testQemuUser()
  readonly host = new LocalHost({ qemuUser: this.user })
  readonly driver: QemuDriver
  readonly seen: DriverFact[] = []
  readonly #started: ProcessIdentity[] = []
  readonly #listening = new AbortController()
  #probe: EmulatorProbe | null = null

  private constructor(directory: string) {
    this.directory = directory
    this.images = new ImageFiles({ qemuUser: this.user })
    this.driver = this.anotherDriver()
    void this.#listen()
  }

  static async open(): Promise<QemuKit> {
    const directory = await mkdtemp(join(tmpdir(), 'qemu-kit-'))
    // mkdtemp makes it 0700; the QEMU user must be able to pass through.
    await mkdir(join(directory, 'images'), { mode: 0o755 })
    await chmod(directory, 0o755)
    return new QemuKit(directory)
  }

  /** Another driver over the same directories, as after a restart of the daemon. */
  anotherDriver(more: Partial<QemuDriverOptions> = {}): QemuDriver {
    const { host, processes, user, directory } = this
    const endLimits = { quitMs: 3_000, terminateMs: 1_000, killMs: 5_000 }
    const directories = { runDirectory: join(directory, 'run'), logDirectory: join(directory, 'log') }
    return new QemuDriver({ host, processes, user, endLimits, greetingTimeoutMs: 500, ...directories, ...more })
  }

  /** Path of an image of this kit. */
  image(name: string): string {
    return join(this.directory, 'images', name)
  }

  async probe(): Promise<EmulatorProbe> {
    this.#probe ??= await this.driver.probe(testEmulator, never)
    return this.#probe
  }

  /** A request to start a definition whose disks have the given chains. */
  async request(xml: string, disks: readonly DiskChain[], vncPorts: readonly number[] = []): Promise<StartRequest> {
    const probe = await this.probe()
    const caps = factsOf(probe)
    const definition = definitionOf(xml, caps)
    const { uuid = '', name } = definition
    const accelerator = definition.type === 'kvm' ? 'kvm' : 'tcg'
    const hostModel = definition.cpu?.mode === 'host-model' ? hostModelOf(probe.capabilities, accelerator) : null
    return { uuid, name, definition, caps, identity: probe.facts, hostModel, disks, vncPorts }
  }

  /** Lets the QEMU user use the images of a request. */
  async lend(request: StartRequest): Promise<void> {
    const wanted = request.disks.flatMap(({ layers }) => layers.map(({ path }) => ({ path, write: true })))
    await this.images.grant(await this.images.planAccess(wanted))
  }

  /** Lends the images to QEMU and starts the domain; its CPUs run unless `paused`. */
  async start(
    request: StartRequest,
    { paused = false, driver = this.driver } = {},
  ): Promise<StartedDomain & RunningDomain> {
    await this.lend(request)
    const started = await driver.start(request, never)
    this.#started.push(started.process)
    if (!paused) await driver.resume(request.uuid, never)
    return { ...started, uuid: request.uuid, name: request.name }
  }

  /** Waits until a fact has been reported, since the beginning or since a place in {@link seen}. */
  async fact(wanted: (fact: DriverFact) => boolean, { since = 0, timeoutMs = 15_000 } = {}): Promise<DriverFact> {
    const until = performance.now() + timeoutMs
    for (;;) {
      const found = this.seen.slice(since).find(wanted)
      if (found !== undefined) return found
      if (performance.now() > until) throw new Error(`Cannot find the fact, seen are ${JSON.stringify(this.seen)}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listening.abort()
    await this.driver.detach()
    for (const started of this.#started) this.processes.signal(started, 'SIGKILL')
    const until = performance.now() + 5_000
    while (this.#started.some((started) => this.processes.isAlive(started)) && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    await rm(this.directory, { recursive: true, force: true })
  }

  async #listen(): Promise<void> {
    for await (const fact of this.driver.facts(this.#listening.signal)) this.seen.push(fact)
  }
}
