import type { DiskDef } from '../conf/disk-def.ts'
import type { DomainDef } from '../conf/domain-def.ts'
import type { BackingStore } from '../conf/storage-source.ts'
import type { ChainRequest, DetectedLayer, FileIdentity, ImageFormat, Images } from '../driver/images.ts'
import { type AnyFact, type FactOf, newFact } from '../events/catalogue.ts'
import { type Chains, evolveChains, type Layer } from '../model/chain.ts'
import { Fault } from '../util/fault.ts'

/** What the log must learn before the disks of a definition may be used, and where the world contradicts it. */
export interface ChainKnowledge {
  /** Facts to record with the intent, in order. */
  readonly facts: readonly AnyFact[]
  /** The chains with those facts applied. */
  readonly chains: Chains
  /** Recorded and found chains that differ; the intent must be refused. */
  readonly drifts: readonly FactOf<'DriftDetected'>[]
}

/**
 * Makes sure that the chain of every disk is known: by stat alone where nothing changed since it was recorded, by the
 * headers where something did or nothing is recorded. Layers below the active image never change while they back
 * another: one that was replaced or written to is drift, even when its header says the same.
 */
export async function knowChains(
  images: Images,
  domain: { readonly definition: DomainDef; readonly chains: Chains },
  signal: AbortSignal,
): Promise<ChainKnowledge> {
  let chains = domain.chains
  const facts: AnyFact[] = []
  const drifts: FactOf<'DriftDetected'>[] = []
  const wanted = new Set(disksWithImage(domain.definition).map((disk) => disk.target.dev))
  for (const disk of Object.keys(chains.byDisk)) {
    if (!wanted.has(disk)) facts.push(newFact('BackingChainForgotten', { disk }))
  }
  chains = facts.reduce(evolveChains, chains)
  for (const disk of disksWithImage(domain.definition)) {
    const recorded = chains.byDisk[disk.target.dev]
    const found =
      recorded === undefined || recorded[0]?.path !== disk.source?.file
        ? await detect(images, { disk, nextIndex: chains.nextIndex }, signal)
        : await verify(images, { disk, recorded, nextIndex: chains.nextIndex }, signal)
    if (found === null) continue
    if (found.type === 'DriftDetected') {
      drifts.push(found)
      continue
    }
    facts.push(found)
    chains = evolveChains(chains, found)
  }
  return { facts, chains, drifts }
}

/** The fault that a drift is reported by; it names the layer and the way out. */
export function driftFault(drift: FactOf<'DriftDetected'>, name: string): Fault {
  const { disk, layer, why } = drift.data
  return new Fault(
    'operation_failed',
    `Cannot use disk "${disk}" of domain "${name}": ${why}; if this is intended, run: chronovisor chain adopt ${name} ${disk}`,
    { subject: layer },
  )
}

/** Disks that have an image: a drive without a medium has no chain. */
export function disksWithImage(definition: DomainDef): readonly DiskDef[] {
  return definition.devices.disks.filter((disk) => disk.source?.file !== undefined)
}

/** How the chain of a disk is to be read: stated layers are taken as given, `<backingStore/>` ends it. */
export function chainRequestOf(disk: DiskDef): ChainRequest {
  const given = [{ path: disk.source?.file ?? '', format: formatOf(disk.driver?.type ?? 'raw', disk.target.dev) }]
  let store: BackingStore | undefined = disk.backingStore
  while (store?.kind === 'layer') {
    const { layer } = store
    given.push({ path: layer.source?.file ?? '', format: formatOf(layer.format?.type ?? 'raw', disk.target.dev) })
    store = layer.backingStore
  }
  return { given, terminated: store?.kind === 'end' }
}

function formatOf(type: string, disk: string): ImageFormat {
  if (type === 'qcow2' || type === 'raw') return type
  throw new Fault(
    'config_unsupported',
    `Cannot use disk "${disk}": images of format "${type}" are not served, allowed are qcow2 and raw`,
  )
}

async function detect(
  images: Images,
  what: { readonly disk: DiskDef; readonly nextIndex: number },
  signal: AbortSignal,
): Promise<AnyFact> {
  const layers = await images.readChain(chainRequestOf(what.disk), signal)
  return newFact('BackingChainDetected', { disk: what.disk.target.dev, layers: numbered(layers, what.nextIndex) })
}

/** Gives layers their numbers in a domain. */
export function numbered(
  layers: readonly DetectedLayer[],
  nextIndex: number,
): (DetectedLayer & { readonly index: number })[] {
  return layers.map((layer, at) => ({ ...layer, index: nextIndex + at }))
}

async function verify(
  images: Images,
  what: { readonly disk: DiskDef; readonly recorded: readonly Layer[]; readonly nextIndex: number },
  signal: AbortSignal,
): Promise<AnyFact | null> {
  const { disk, recorded } = what
  const now = await Promise.all(recorded.map((layer) => images.stat(layer.path)))
  if (recorded.every((layer, at) => sameFile(layer.file, now[at] ?? null))) return null
  for (const [at, layer] of recorded.entries()) {
    const file = now[at] ?? null
    if (file === null)
      return drift(disk, { recorded, layer: layer.path, why: `layer "${layer.path}" is missing`, found: [] })
    if (at > 0 && !sameContents(layer.file, file)) {
      const why = `layer "${layer.path}" was ${layer.file.inode === file.inode && layer.file.device === file.device ? 'written to' : 'replaced'} while the domain was off`
      return drift(disk, { recorded, layer: layer.path, why, found: [] })
    }
  }
  const found = await images.readChain(chainRequestOf(disk), signal)
  const parted = firstDifference(recorded, found)
  if (parted === null) {
    const files = recorded.map((layer, at) => ({ index: layer.index, path: layer.path, file: found[at]?.file ?? null }))
    return newFact('BackingChainVerified', { disk: disk.target.dev, files })
  }
  const why = `the chain below "${parted.above}" was "${parted.was}" and is "${parted.is}" now`
  return drift(disk, { recorded, layer: parted.above, why, found: found.map((layer) => layer.path) })
}

function drift(
  disk: DiskDef,
  what: {
    readonly recorded: readonly Layer[]
    readonly layer: string
    readonly why: string
    readonly found: readonly string[]
  },
): AnyFact {
  const { recorded, layer, why, found } = what
  return newFact('DriftDetected', {
    disk: disk.target.dev,
    layer,
    why,
    recorded: recorded.map((one) => one.path),
    found: [...found],
  })
}

function firstDifference(
  recorded: readonly Layer[],
  found: readonly DetectedLayer[],
): { readonly above: string; readonly was: string; readonly is: string } | null {
  for (let at = 0; at < Math.max(recorded.length, found.length); at++) {
    const was = recorded[at]
    const is = found[at]
    if (was?.path === is?.path && was?.format === is?.format) continue
    const above = recorded[Math.max(at - 1, 0)]?.path ?? ''
    return { above, was: describe(was), is: describe(is) }
  }
  return null
}

function describe(layer: { readonly path: string; readonly format: string } | undefined): string {
  return layer === undefined ? 'nothing' : `${layer.path} (${layer.format})`
}

function sameFile(recorded: FileIdentity, now: FileIdentity | null): boolean {
  return now !== null && recorded.ctimeNs === now.ctimeNs && sameContents(recorded, now)
}

function sameContents(recorded: FileIdentity, now: FileIdentity): boolean {
  return (
    recorded.device === now.device &&
    recorded.inode === now.inode &&
    recorded.sizeBytes === now.sizeBytes &&
    recorded.mtimeNs === now.mtimeNs
  )
}
