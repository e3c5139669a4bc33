import { lstat, realpath, stat, unlink } from 'node:fs/promises'
import type { ProcessUser } from '../driver/host-facts.ts'
import type {
  ChainRequest,
  DetectedLayer,
  FileIdentity,
  Images,
  OverlayRequest,
  OwnershipChange,
} from '../driver/images.ts'
import { Fault } from '../util/fault.ts'
import { createOverlay } from './create-overlay.ts'
import { grantFiles, planAccess, restoreFiles, type WantedFile } from './file-ownership.ts'
import { checkRegular, explain, identityOf } from './image-file.ts'
import { readChain } from './read-chain.ts'

/** Where backing files named by images may lie when nothing is configured, besides the directories of the images that a definition names. */
export const defaultImageRoots = ['/var/lib/libvirt/images', '/var/lib/chronovisor/images'] as const

// st_blocks counts these whatever the file system's own block size is.
const statBlockBytes = 512n

/** What {@link ImageFiles} is made with. */
export interface ImageFilesOptions {
  /** Gets access to images; null when QEMU runs as the daemon's own user, and then no owner is ever changed. */
  readonly qemuUser: ProcessUser | null
  readonly allowedRoots?: readonly string[]
  readonly qemuImg?: string
}

/** The image files of this machine. */
export class ImageFiles implements Images {
  readonly #user: ProcessUser | null
  readonly #allowedRoots: readonly string[]
  readonly #qemuImg: string
  #filesOpened = 0

  constructor({ qemuUser, allowedRoots = defaultImageRoots, qemuImg = 'qemu-img' }: ImageFilesOptions) {
    this.#user = qemuUser
    this.#allowedRoots = allowedRoots
    this.#qemuImg = qemuImg
  }

  get filesOpened(): number {
    return this.#filesOpened
  }

  async readChain(request: ChainRequest, signal: AbortSignal): Promise<readonly DetectedLayer[]> {
    const onOpen = (): void => {
      this.#filesOpened += 1
    }
    return await readChain(request, { signal, allowedRoots: this.#allowedRoots, onOpen })
  }

  async stat(path: string): Promise<FileIdentity | null> {
    try {
      return identityOf(await stat(path, { bigint: true }))
    } catch (error) {
      if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
        return null
      throw explain(error, { path, action: `look at image "${path}"` })
    }
  }

  async createOverlay(request: OverlayRequest, signal: AbortSignal): Promise<DetectedLayer> {
    const existing = request.reuseExternal ? await this.stat(request.path) : null
    if (existing !== null && existing.sizeBytes > 0n) return await this.#reuse(request, signal)
    this.#filesOpened += 1
    return await createOverlay(request, { signal, user: this.#user, qemuImg: this.#qemuImg })
  }

  async remove(path: string): Promise<void> {
    const action = `remove image "${path}"`
    try {
      checkRegular(await lstat(path, { bigint: true }), { path, action })
      await unlink(path)
    } catch (error) {
      throw explain(error, { path, action })
    }
  }

  async planAccess(wanted: readonly WantedFile[]): Promise<readonly OwnershipChange[]> {
    return this.#user === null ? [] : await planAccess(wanted, this.#user)
  }

  async grant(changes: readonly OwnershipChange[]): Promise<void> {
    await grantFiles(changes)
  }

  async restore(changes: readonly OwnershipChange[]): Promise<void> {
    await restoreFiles(changes)
  }

  async measure(
    path: string,
    _virtualSizeBytes: bigint,
  ): Promise<{ readonly allocationBytes: bigint; readonly physicalBytes: bigint }> {
    try {
      const { blocks, size } = await stat(path, { bigint: true })
      return { allocationBytes: blocks * statBlockBytes, physicalBytes: size }
    } catch (error) {
      throw explain(error, { path, action: `measure image "${path}"` })
    }
  }

  // The client made the overlay itself: it must be one of the image that it is put on, or the headers would contradict the record.
  async #reuse({ path, backing, virtualSizeBytes }: OverlayRequest, signal: AbortSignal): Promise<DetectedLayer> {
    const [overlay, below] = await this.readChain({ given: [{ path, format: 'qcow2' }], terminated: false }, signal)
    if (overlay === undefined) throw new Fault('internal', `Cannot reuse overlay "${path}": its chain is empty`)
    const wanted = await realpath(backing.path).catch(() => backing.path)
    const stated = below === undefined ? null : await realpath(below.path).catch(() => below.path)
    if (stated !== wanted || below?.format !== backing.format) {
      const state = below === undefined ? 'no backing file' : `backing file "${below.path}" of format ${below.format}`
      const message = `Cannot reuse overlay "${path}": it states ${state}, it must state "${backing.path}" of format ${backing.format}`
      throw new Fault('operation_invalid', message, { subject: path })
    }
    if (overlay.virtualSizeBytes < virtualSizeBytes) {
      const sizes = `${overlay.virtualSizeBytes} bytes, the disk has ${virtualSizeBytes}`
      throw new Fault('operation_invalid', `Cannot reuse overlay "${path}": it has ${sizes}`, { subject: path })
    }
    return overlay
  }
}
