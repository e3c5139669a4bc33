import { parseDomain } from '../../src/conf/parse-domain.ts'
import type { DiskLayer, DriverFact, StartRequest } from '../../src/driver/driver.ts'
import { ScriptedTime } from '../../src/testdriver/scripted-time.ts'
import { TestDriver, type TestDriverOptions } from '../../src/testdriver/test-driver.ts'
import { probeTestEmulator } from '../../src/testdriver/test-emulator.ts'
import { TestImages } from '../../src/testdriver/test-images.ts'
import { TestScript } from '../../src/testdriver/test-script.ts'
import { TestWorld } from '../../src/testdriver/test-world.ts'
import type { WorldStore } from '../../src/testdriver/world-state.ts'
import { MemoryWorldStore } from '../../src/testdriver/world-store.ts'

/** The domain that most tests run. */
export const uuid = '00000000-0000-4000-8000-000000000001'
/** A signal that never aborts. */
export const never = new AbortController().signal

/** A layer of a chain by its index: image 3 is `/images/3.qcow2`. */
export function layer(index: number): DiskLayer {
  return { index, path: `/images/${index}.qcow2`, format: 'qcow2' }
}

/** What a start is given; each disk is the list of the indexes of its layers, active image first. */
export function startRequest(disks: Readonly<Record<string, readonly number[]>> = { vda: [1] }): StartRequest {
  const probe = probeTestEmulator(1_000_000)
  const definition = parseDomain(
    `<domain type='test'><name>web</name><uuid>${uuid}</uuid><memory unit='MiB'>512</memory><currentMemory unit='MiB'>256</currentMemory>` +
      `<os><type>hvm</type></os><devices><memballoon model='virtio'/></devices></domain>`,
  )
  return {
    uuid,
    name: 'web',
    definition,
    caps: { ...probe, capsId: 'caps', version: BigInt(probe.version), machines: [], flags: new Set() },
    identity: probe.facts,
    hostModel: null,
    disks: Object.entries(disks).map(([target, indexes]) => ({ target, readOnly: false, layers: indexes.map(layer) })),
    vncPorts: [],
  }
}

/** A driver in scripted time, with the facts it reports. */
export class DriverKit {
  readonly time: ScriptedTime
  readonly store: WorldStore
  readonly script = new TestScript()
  readonly world: TestWorld
  readonly driver: TestDriver
  readonly images: TestImages
  readonly facts: DriverFact[] = []
  readonly #end = new AbortController()

  constructor(options: Partial<TestDriverOptions> & { store?: WorldStore; bootId?: string; time?: ScriptedTime } = {}) {
    const { store = new MemoryWorldStore(), bootId = 'boot-1', time = new ScriptedTime(), ...rest } = options
    this.time = time
    this.store = store
    this.world = new TestWorld({ store, bootId, timers: time })
    this.driver = new TestDriver({ world: this.world, script: this.script, ...rest })
    this.images = new TestImages(this.world)
  }

  /** Collects facts from now on. */
  listen(): this {
    void this.#collect()
    return this
  }

  /** Starts the domain and lets it run. */
  async run(disks?: Readonly<Record<string, readonly number[]>>): Promise<void> {
    await this.driver.start(startRequest(disks), never)
    await this.driver.resume(uuid, never)
    await this.time.advance(0)
    this.facts.length = 0
  }

  /** The indexes of a disk's layers, active image first. */
  async chain(target = 'vda'): Promise<readonly number[]> {
    const chains = await this.driver.queryChains(uuid, never)
    const layers = chains.find((chain) => chain.target === target)?.layers ?? []
    return layers.map(({ path }) => Number(/(\d+)\.qcow2$/.exec(path)?.[1]))
  }

  /** The states that facts told of a job. */
  states(jobId = 'job'): readonly string[] {
    return this.facts.flatMap((fact) => (fact.kind === 'jobChanged' && fact.jobId === jobId ? [fact.status] : []))
  }

  async jobStatus(): Promise<string | undefined> {
    return (await this.driver.queryJobs(uuid, never))[0]?.status
  }

  /** Another daemon on the same world, as after a kill -9. */
  restarted(bootId = 'boot-1'): DriverKit {
    this.#end.abort()
    return new DriverKit({ store: this.store, bootId, time: this.time })
  }

  async #collect(): Promise<void> {
    for await (const fact of this.driver.facts(this.#end.signal)) this.facts.push(fact)
  }
}
