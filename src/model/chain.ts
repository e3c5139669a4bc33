import type { AnyFact, FactOf } from '../events/catalogue.ts'

/** One file of a chain as the log knows it. */
export type Layer = FactOf<'BackingChainDetected'>['data']['layers'][number] & {
  /** Which fact put the file into the chain: detection, a snapshot's name, a job's id. */
  readonly createdBy: string
}

/** What was found instead of a recorded chain. */
export type Drift = FactOf<'DriftDetected'>['data']

/** Chains of a domain's disks by target, active image first, and the next index to give to a layer. */
export interface Chains {
  readonly byDisk: Readonly<Record<string, readonly Layer[]>>
  readonly nextIndex: number
  /** The drift that stands for a disk: it is recorded once, however often it is met. */
  readonly drifts: Readonly<Record<string, Drift>>
}

/** No chain is known. */
export const noChains: Chains = { byDisk: {}, nextIndex: 1, drifts: {} }

/** The chains after a fact; what does not touch chains leaves them as they are. */
export function evolveChains(chains: Chains, event: AnyFact): Chains {
  switch (event.type) {
    case 'BackingChainDetected':
    case 'BackingChainAdopted':
      return withDisk(
        withoutDrift(chains, event.data.disk),
        event.data.disk,
        event.data.layers.map((layer) => ({ ...layer, createdBy: 'detection' })),
      )
    case 'BackingChainForgotten': {
      const { [event.data.disk]: _gone, ...byDisk } = chains.byDisk
      return { ...withoutDrift(chains, event.data.disk), byDisk }
    }
    case 'DomainForgotten':
      return { ...chains, byDisk: {}, drifts: {} }
    case 'BackingChainVerified':
      return withFiles(withoutDrift(chains, event.data.disk), event.data.files)
    case 'DriftDetected':
      return { ...chains, drifts: { ...chains.drifts, [event.data.disk]: event.data } }
    case 'DomainStartRequested':
      return Object.keys(chains.drifts).length === 0 ? chains : { ...chains, drifts: {} }
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
  return { ...chains, byDisk: { ...chains.byDisk, [disk]: layers }, nextIndex: highest + 1 }
}

function withoutDrift(chains: Chains, disk: string): Chains {
  const { [disk]: _gone, ...drifts } = chains.drifts
  return { ...chains, drifts }
}

/** The drifts that are not recorded yet. */
export function newDrifts(
  chains: Chains,
  found: readonly FactOf<'DriftDetected'>[],
): readonly FactOf<'DriftDetected'>[] {
  return found.filter((drift) => {
    const known = Object.hasOwn(chains.drifts, drift.data.disk) ? chains.drifts[drift.data.disk] : undefined
    return known === undefined || !sameDrift(known, drift.data)
  })
}

function sameDrift(one: Drift, other: Drift): boolean {
  const sameList = (a: readonly string[], b: readonly string[]): boolean =>
    a.length === b.length && a.every((path, at) => path === b[at])
  return one.why === other.why && sameList(one.recorded, other.recorded) && sameList(one.found, other.found)
}
