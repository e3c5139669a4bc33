/** A version of a row of the read model of chains: one file of one disk from one position on. */
export interface LayerVersion {
  readonly disk: string
  readonly index: number
  /** 0 is the active image. */
  readonly ordinal: number
  readonly role: string
  readonly path: string
  readonly format: string
  readonly virtualSizeBytes: bigint
  readonly createdBy: string
  readonly fromPosition: bigint
  readonly toPosition: bigint | null
  readonly fromUs: bigint
}

/** A layer that is no longer in the chain. */
export interface WentLayer extends LayerVersion {
  readonly toPosition: bigint
}

/**
 * What the versions of one disk's rows say at a position: the chain then, active image first, each layer since it came
 * (not since its row last changed), and the files that were in it before, latest departure first. A file that was numbered
 * anew has not left.
 */
export function splitChain(
  versions: readonly LayerVersion[],
  position: bigint,
): { readonly layers: readonly LayerVersion[]; readonly left: readonly WentLayer[] } {
  const begun = versions
    .filter((version) => version.fromPosition <= position)
    .toSorted((a, b) => (a.fromPosition < b.fromPosition ? -1 : 1))
  const current = begun.filter((version) => version.toPosition === null || version.toPosition > position)
  const layers = current.toSorted((a, b) => a.ordinal - b.ordinal).map((layer) => sinceItCame(layer, begun))
  const present = new Set(current.map((layer) => layer.path))
  const gone = new Map<string, WentLayer>()
  for (const version of begun) {
    if (version.toPosition !== null && version.toPosition <= position && !present.has(version.path)) {
      gone.set(version.path, { ...version, toPosition: version.toPosition })
    }
  }
  return { layers, left: [...gone.values()].toSorted((a, b) => (a.toPosition > b.toPosition ? -1 : 1)) }
}

/** Goes back through versions of the same layer that follow each other without a gap. */
function sinceItCame(layer: LayerVersion, versions: readonly LayerVersion[]): LayerVersion {
  let first = layer
  for (;;) {
    const before = versions.find(
      (one) => one.index === layer.index && one.path === layer.path && one.toPosition === first.fromPosition,
    )
    if (before === undefined) return { ...layer, fromPosition: first.fromPosition, fromUs: first.fromUs }
    first = before
  }
}
