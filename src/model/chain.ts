import type { AnyFact, FactOf } from '../events/catalogue.ts'

/** One file of a chain as the log knows it. */
export type Layer = FactOf<'BackingChainDetected'>['data']['layers'][number] & {
  /** Which fact put the file into the chain: detection, a snapshot's name, a job's id. */
  readonly createdBy: string
}

/** Chains of a domain's disks by target, active image first, and the next index to give to a layer. */
export interface Chains {
  readonly byDisk: Readonly<Record<string, readonly Layer[]>>
  readonly nextIndex: number
}

/** No chain is known. */
export const noChains: Chains = { byDisk: {}, nextIndex: 1 }

/** The chains after a fact; what does not touch chains leaves them as they are. */
export function evolveChains(chains: Chains, event: AnyFact): Chains {
  switch (event.type) {
    case 'BackingChainDetected':
    case 'BackingChainAdopted':
      return withDisk(
        chains,
        event.data.disk,
        event.data.layers.map((layer) => ({ ...layer, createdBy: 'detection' })),
      )
    case 'BackingChainForgotten': {
      const { [event.data.disk]: _gone, ...byDisk } = chains.byDisk
      return { ...chains, byDisk }
    }
    case 'DomainForgotten':
      return { ...chains, byDisk: {} }
    case 'BackingChainVerified':
      return withFiles(chains, event.data.files)
    case 'DomainDestroyed':
    case 'DomainShutOff':
    case 'DomainCrashed':
      return withFiles(chains, event.data.files)
    case 'SnapshotCreated':
      return event.data.disks.reduce((current, disk) => {
        if (disk.overlay === null) return current
        const below = current.byDisk[disk.disk] ?? []
        return withDisk(current, disk.disk, [{ ...disk.overlay, createdBy: `snapshot ${event.data.name}` }, ...below])
      }, chains)
    case 'BlockJobPivoted':
      return keepLayers(chains, { disk: event.data.disk, indexes: event.data.chain })
    case 'BlockJobCompleted':
      return withFiles(keepLayers(chains, { disk: event.data.disk, indexes: event.data.chain }), event.data.files)
    default:
      return chains
  }
}

/** The chain that keeps only the layers of the given indexes, in that order: the effect of a block job's outcome. */
function keepLayers(chains: Chains, kept: { readonly disk: string; readonly indexes: readonly number[] }): Chains {
  const layers = chains.byDisk[kept.disk] ?? []
  return withDisk(
    chains,
    kept.disk,
    kept.indexes.flatMap((index) => layers.find((layer) => layer.index === index) ?? []),
  )
}

/** Replaces recorded identities of files, in whichever chains they stand. */
function withFiles(
  chains: Chains,
  files: readonly { readonly index: number; readonly file: Layer['file'] | null }[],
): Chains {
  if (files.length === 0) return chains
  const fresh = new Map(files.map((entry) => [entry.index, entry.file]))
  const byDisk = Object.fromEntries(
    Object.entries(chains.byDisk).map(([disk, layers]) => [
      disk,
      layers.map((layer) => ({ ...layer, file: fresh.get(layer.index) ?? layer.file })),
    ]),
  )
  return { ...chains, byDisk }
}

function withDisk(chains: Chains, disk: string, layers: readonly Layer[]): Chains {
  const highest = layers.reduce((most, layer) => Math.max(most, layer.index), chains.nextIndex - 1)
  return { byDisk: { ...chains.byDisk, [disk]: layers }, nextIndex: highest + 1 }
}
