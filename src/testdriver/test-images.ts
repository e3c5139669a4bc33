import type {
  ChainRequest,
  DetectedLayer,
  FileIdentity,
  ImageFormat,
  Images,
  OverlayRequest,
  OwnershipChange,
} from '../driver/images.ts'
import { abortFault } from '../util/abort-fault.ts'
import { Fault } from '../util/fault.ts'
import type { TestWorld } from './test-world.ts'
import type { TestImage } from './world-state.ts'

const maxDepth = 200
const onDemandBytes = 1_073_741_824n
// What an empty qcow2 image of this size takes up.
const emptyOverlayBytes = 196_616n

/** Image files that stand in the test world instead of on a disk. A file that a definition names exists as soon as it is looked at. */
export class TestImages implements Images {
  readonly #world: TestWorld
  #filesOpened = 0

  constructor(world: TestWorld) {
    this.#world = world
  }

  get filesOpened(): number {
    return this.#filesOpened
  }

  readChain(request: ChainRequest, signal: AbortSignal): Promise<readonly DetectedLayer[]> {
    return settled(() => {
      if (signal.aborted) throw abortFault(signal, 'read a backing chain')
      const layers: DetectedLayer[] = []
      const seen = new Set<string>()
      const given = request.given.map((layer) => layer.path)
      for (let next = request.given[0] ?? null; next !== null; ) {
        if (seen.has(next.path)) throw unreadable(next.path, 'it stands above itself, a chain must end')
        if (seen.size === maxDepth)
          throw unreadable(next.path, `it is layer ${maxDepth + 1}, at most ${maxDepth} are allowed`)
        seen.add(next.path)
        const image = this.#open(next.path, next.format)
        layers.push({
          path: image.path,
          format: next.format,
          virtualSizeBytes: image.virtualSizeBytes,
          file: identityOf(image),
        })
        const depth: number = layers.length
        const below: TestImage['backing'] = request.terminated || depth < given.length ? null : image.backing
        next = request.given[depth] ?? below
      }
      return layers
    })
  }

  stat(path: string): Promise<FileIdentity | null> {
    const image = this.#world.image(path)
    return Promise.resolve(image === null ? null : identityOf(image))
  }

  createOverlay(request: OverlayRequest, signal: AbortSignal): Promise<DetectedLayer> {
    return settled(() => {
      if (signal.aborted) throw abortFault(signal, `create image "${request.path}"`)
      const existing = this.#world.image(request.path)
      if (existing !== null && !request.reuseExternal) {
        throw new Fault(
          'config_unsupported',
          `Cannot create image "${request.path}": it exists already and is not empty`,
        )
      }
      const image =
        existing ??
        this.#world.createImage({
          path: request.path,
          format: 'qcow2',
          virtualSizeBytes: request.virtualSizeBytes,
          backing: request.backing,
          sizeBytes: emptyOverlayBytes,
        })
      return {
        path: image.path,
        format: image.format,
        virtualSizeBytes: image.virtualSizeBytes,
        file: identityOf(image),
      }
    })
  }

  remove(path: string): Promise<void> {
    return settled(() => this.#world.removeImage(path))
  }

  planAccess(): Promise<readonly OwnershipChange[]> {
    return Promise.resolve([])
  }

  grant(): Promise<void> {
    return Promise.resolve()
  }

  restore(): Promise<void> {
    return Promise.resolve()
  }

  measure(
    path: string,
    virtualSizeBytes: bigint,
  ): Promise<{ readonly allocationBytes: bigint; readonly physicalBytes: bigint }> {
    const image = this.#world.image(path)
    if (image === null) return Promise.reject(unreadable(path, 'there is no such file'))
    const physicalBytes = image.format === 'raw' ? virtualSizeBytes : image.sizeBytes
    return Promise.resolve({ allocationBytes: image.sizeBytes, physicalBytes })
  }

  /** Reads a header; a file that nobody removed comes into being, empty and without a backing file. */
  #open(path: string, format: ImageFormat): TestImage {
    if (this.#world.isRemoved(path)) throw unreadable(path, 'there is no such file')
    this.#filesOpened += 1
    const existing = this.#world.image(path)
    if (existing === null) {
      return this.#world.createImage({
        path,
        format,
        virtualSizeBytes: onDemandBytes,
        backing: null,
        sizeBytes: format === 'raw' ? onDemandBytes : emptyOverlayBytes,
      })
    }
    if (format === 'raw') return { ...existing, backing: null }
    if (existing.format !== format) throw unreadable(path, `its format is ${existing.format}, it must be ${format}`)
    return existing
  }
}

function identityOf(image: TestImage): FileIdentity {
  return {
    device: 0n,
    inode: image.inode,
    sizeBytes: image.sizeBytes,
    mtimeNs: image.changedNs,
    ctimeNs: image.changedNs,
  }
}

function unreadable(path: string, why: string): Fault {
  return new Fault('operation_failed', `Cannot read image "${path}": ${why}`, { subject: path })
}

/** The result of a synchronous action as a promise; what it throws becomes a rejection. */
function settled<T>(action: () => T): Promise<T> {
  return new Promise((resolve) => resolve(action()))
}
