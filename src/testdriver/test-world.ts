import type { DiskLayer } from '../driver/driver.ts'
import type { Timers } from '../util/timers.ts'
import type { TestDisk, TestMachine } from './test-machine.ts'
import { emptyWorld, type TestImage, type WorldState, type WorldStore } from './world-state.ts'

// Linux gives out no pid beyond 4,194,304: nobody can meet a real process by these.
const firstPid = 4_194_305

/** The machines and files of the test driver; each change is saved before it is seen. One per daemon, shared by driver and images. */
export class TestWorld {
  readonly #store: WorldStore
  #state: WorldState
  readonly timers: Timers

  /** `bootId` is that of the host now: the machines of another boot are gone, the files are not. */
  constructor(options: { readonly store: WorldStore; readonly bootId: string; readonly timers: Timers }) {
    this.#store = options.store
    this.timers = options.timers
    const saved = options.store.load() ?? emptyWorld(options.bootId)
    this.#state = saved.bootId === options.bootId ? saved : { ...saved, bootId: options.bootId, machines: [] }
  }

  get bootId(): string {
    return this.#state.bootId
  }

  get machines(): readonly TestMachine[] {
    return this.#state.machines
  }

  machine(uuid: string): TestMachine | null {
    return this.#state.machines.find((machine) => machine.uuid === uuid) ?? null
  }

  /** A pid that was never used in this world. */
  nextPid(): number {
    return firstPid + this.#nextNumber()
  }

  /** Puts a machine in place of the one with its uuid. What its chains became is written into the files, as QEMU does. */
  putMachine(machine: TestMachine): void {
    const others = this.#state.machines.filter((other) => other.uuid !== machine.uuid)
    const before = this.machine(machine.uuid)
    this.#change({ machines: [...others, machine], images: this.#imagesAfter(before?.disks ?? [], machine.disks) })
  }

  removeMachine(uuid: string): void {
    this.#change({ machines: this.#state.machines.filter((machine) => machine.uuid !== uuid) })
  }

  image(path: string): TestImage | null {
    return this.#state.images.find((image) => image.path === path) ?? null
  }

  isRemoved(path: string): boolean {
    return this.#state.removedPaths.includes(path)
  }

  /** Creates a file, or replaces it by another one (a new inode). */
  createImage(image: Pick<TestImage, 'path' | 'format' | 'virtualSizeBytes' | 'backing' | 'sizeBytes'>): TestImage {
    const created = { ...image, inode: BigInt(this.#nextNumber()), changedNs: this.#nowNs() }
    this.#change({
      images: [...this.#state.images.filter((other) => other.path !== image.path), created],
      removedPaths: this.#state.removedPaths.filter((path) => path !== image.path),
    })
    return created
  }

  /** Changes a file in place. */
  changeImage(path: string, change: Partial<Pick<TestImage, 'backing' | 'sizeBytes'>>): void {
    this.#change({
      images: this.#state.images.map((image) => (image.path === path ? this.#touched(image, change) : image)),
    })
  }

  removeImage(path: string): void {
    this.#change({
      images: this.#state.images.filter((image) => image.path !== path),
      removedPaths: [...this.#state.removedPaths.filter((other) => other !== path), path],
    })
  }

  #imagesAfter(before: readonly TestDisk[], after: readonly TestDisk[]): readonly TestImage[] {
    const changed = after.filter((disk) => {
      const old = before.find((candidate) => candidate.target === disk.target)
      return old !== undefined && old.layers !== disk.layers
    })
    const layers = changed.flatMap((disk) => disk.layers.map((layer, at) => ({ layer, below: disk.layers[at + 1] })))
    return this.#state.images.map((image) => {
      const found = layers.find(({ layer }) => layer.path === image.path)
      if (found === undefined || image.format === 'raw' || isBacking(image, found.below)) return image
      const backing = found.below === undefined ? null : { path: found.below.path, format: found.below.format }
      return this.#touched(image, { backing })
    })
  }

  #touched(image: TestImage, change: Partial<TestImage>): TestImage {
    const nowNs = this.#nowNs()
    // Two changes within one tick of the clock must still differ.
    return { ...image, ...change, changedNs: nowNs > image.changedNs ? nowNs : image.changedNs + 1n }
  }

  #nextNumber(): number {
    this.#change({ lastNumber: this.#state.lastNumber + 1 })
    return this.#state.lastNumber
  }

  #nowNs(): bigint {
    return BigInt(Math.floor(this.timers.nowMs())) * 1_000_000n
  }

  #change(change: Partial<WorldState>): void {
    const next = { ...this.#state, ...change }
    this.#store.save(next)
    this.#state = next
  }
}

function isBacking(image: TestImage, below: DiskLayer | undefined): boolean {
  return (image.backing?.path ?? null) === (below?.path ?? null)
}
