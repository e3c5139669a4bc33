import { layerNode, type SnapshotDisk, storageNode } from '../driver/driver.ts'
import { blockTimeoutMs, layerNodeArguments, type NodeOptions, storageNodeArguments } from './block-nodes.ts'
import type { DomainSession } from './domain-session.ts'

/** What a snapshot needs besides its disks. */
export interface SnapshotOptions {
  /** How the files of each disk are opened, by target. */
  readonly optionsOf: (target: string) => NodeOptions
  readonly signal: AbortSignal
}

/**
 * Puts overlays on top of disks in one transaction: all or none. An overlay is opened without its backing file, which the
 * transaction then puts below it. After a refusal no node of it is left; after a silence QEMU's chains tell what happened.
 */
export async function snapshotDomainDisks(
  session: DomainSession,
  disks: readonly SnapshotDisk[],
  { optionsOf, signal }: SnapshotOptions,
): Promise<void> {
  const options = { signal, timeoutMs: blockTimeoutMs }
  const added: string[] = []
  try {
    for (const { target, overlay } of disks) {
      const node = { layer: overlay, readOnly: false, backing: null, options: optionsOf(target) }
      await session.execute('blockdev-add', storageNodeArguments(node), options)
      added.unshift(storageNode(overlay.index))
      await session.execute('blockdev-add', layerNodeArguments(node), options)
      added.unshift(layerNode(overlay.index))
    }
    const actions = disks.map(({ active, overlay }) => ({
      type: 'blockdev-snapshot',
      data: { node: layerNode(active.index), overlay: layerNode(overlay.index) },
    }))
    await session.execute('transaction', { actions }, options)
  } catch (error) {
    // A node in use refuses its deletion, so an overlay that did become active stays.
    for (const name of added)
      await session.execute('blockdev-del', { 'node-name': name }, options).catch(() => undefined)
    throw error
  }
}

/** How the files of each disk were opened at the start, read from QEMU's own arguments: what is not recorded anywhere else after a restart. */
export function nodeOptionsOfCommandLine(args: readonly string[]): ReadonlyMap<string, NodeOptions> {
  const nodes = new Map<string, Readonly<Record<string, unknown>>>()
  const options = new Map<string, NodeOptions>()
  for (const [place, arg] of args.entries()) {
    const value = args[place + 1] ?? ''
    if (arg === '-blockdev') {
      const node = parseObject(value)
      if (typeof node['node-name'] === 'string') nodes.set(node['node-name'], node)
    }
    if (arg !== '-device') continue
    const target = /(?:^|,)id=disk-([^,]+)/.exec(value)?.[1]
    const drive = /(?:^|,)drive=([^,]+)/.exec(value)?.[1]
    if (target === undefined || drive === undefined) continue
    options.set(target, optionsOfNodes(nodes.get(`${drive}-file`) ?? {}, nodes.get(drive) ?? {}))
  }
  return options
}

const aioModes = ['native', 'threads', 'io_uring'] as const
const discardModes = ['unmap', 'ignore'] as const
const zeroModes = ['off', 'on', 'unmap'] as const

function optionsOfNodes(
  file: Readonly<Record<string, unknown>>,
  layer: Readonly<Record<string, unknown>>,
): NodeOptions {
  const aio = aioModes.find((mode) => mode === file['aio'])
  const discard = discardModes.find((mode) => mode === layer['discard'])
  const zeroes = zeroModes.find((mode) => mode === layer['detect-zeroes'])
  const { cache } = layer
  return {
    ...(typeof cache === 'object' && cache !== null && 'direct' in cache && 'no-flush' in cache
      ? { cache: { direct: cache.direct === true, 'no-flush': cache['no-flush'] === true } }
      : {}),
    ...(aio === undefined ? {} : { aio }),
    ...(discard === undefined ? {} : { discard }),
    ...(zeroes === undefined ? {} : { 'detect-zeroes': zeroes }),
  }
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}
