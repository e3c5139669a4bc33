import { layerNode, storageNode, type DiskLayer } from '../driver/driver.ts'

/** How long a change of the block graph may take: QEMU finishes the guest's requests first, and slow storage takes its time. */
export const blockTimeoutMs = 60_000

/** How a disk's files are opened, the same for every layer of its chain; named as in `blockdev-add`. */
export interface NodeOptions {
  readonly cache?: { readonly direct: boolean; readonly 'no-flush': boolean }
  readonly aio?: 'native' | 'threads' | 'io_uring'
  readonly discard?: 'unmap' | 'ignore'
  /** Only for the active layer. */
  readonly 'detect-zeroes'?: 'off' | 'on' | 'unmap'
}

/** Arguments of `blockdev-add` for one node. */
export type NodeArguments = Readonly<Record<string, unknown>>

/** What a layer's nodes are made of. */
export interface LayerNodeRequest {
  readonly layer: DiskLayer
  readonly readOnly: boolean
  /** Layer below; null ends the chain whatever the header says, so QEMU never opens a file that we did not name. */
  readonly backing: DiskLayer | null
  readonly options: NodeOptions
}

/** The node of a layer's file. It opens for writing only while the node above needs it (auto-read-only), so a commit can write to a base. */
export function storageNodeArguments({ layer, options }: LayerNodeRequest): NodeArguments {
  const { cache, aio } = options
  return {
    driver: 'file',
    filename: layer.path,
    'node-name': storageNode(layer.index),
    'auto-read-only': true,
    discard: 'unmap',
    ...(cache === undefined ? {} : { cache }),
    ...(aio === undefined ? {} : { aio }),
  }
}

/** The node of a layer's format, on top of the file's node and of the layer below. */
export function layerNodeArguments({ layer, readOnly, backing, options }: LayerNodeRequest): NodeArguments {
  const { cache, discard } = options
  const zeroes = readOnly ? undefined : options['detect-zeroes']
  return {
    'node-name': layerNode(layer.index),
    'read-only': readOnly,
    ...(discard === undefined ? {} : { discard }),
    ...(cache === undefined ? {} : { cache }),
    ...(zeroes === undefined ? {} : { 'detect-zeroes': zeroes }),
    driver: layer.format,
    file: storageNode(layer.index),
    // raw has no backing file and refuses the word.
    ...(layer.format === 'raw' ? {} : { backing: backing === null ? null : layerNode(backing.index) }),
  }
}

/** Index of a layer by the name of its format node; null for other nodes. */
export function layerIndexOf(node: string): number | null {
  const digits = /^layer-(\d+)$/.exec(node)?.[1]
  return digits === undefined ? null : Number(digits)
}

/** Id of the guest's device for a disk target, by which it is found again in QEMU's answers. */
export function diskDeviceId(target: string): string {
  return `disk-${target}`
}

/** Target of a disk by what QEMU calls its device: an id, or the path of a part of it (`/machine/peripheral/disk-vda/virtio-backend`). */
export function targetOfDevice(qdev: string): string | null {
  return /(?:^|\/)disk-([^/]+)(?:\/|$)/.exec(qdev)?.[1] ?? null
}
