import type { Layer } from '../model/chain.ts'
import { Fault } from '../util/fault.ts'

/** The chain of a disk that is in use, by target or by the path of its active image. */
export function chainOfDisk(
  byDisk: Readonly<Record<string, readonly Layer[]>>,
  disk: string,
): { readonly target: string; readonly layers: readonly Layer[] } {
  const own = byDisk[disk]
  if (Object.hasOwn(byDisk, disk) && own !== undefined) return { target: disk, layers: own }
  const byPath = Object.entries(byDisk).find(([, layers]) => layers[0]?.path === disk)
  if (byPath !== undefined) return { target: byPath[0], layers: byPath[1] }
  throw new Fault('invalid_arg', `disk '${disk}' not found in domain`)
}

/** A layer as clients name it: `vda[2]` (the index shown in the live definition), or the path of its file. */
export function findLayer(
  chain: { readonly target: string; readonly layers: readonly Layer[] },
  wanted: string,
): Layer {
  const indexed = /^(.+)\[(\d+)\]$/.exec(wanted)
  const found =
    indexed === null
      ? chain.layers.find((layer) => layer.path === wanted)
      : chain.layers.find((layer) => indexed[1] === chain.target && String(layer.index) === indexed[2])
  if (found !== undefined) return found
  const known = chain.layers.map((layer) => `${chain.target}[${layer.index}] ${layer.path}`).join(', ')
  throw new Fault(
    'invalid_arg',
    `Cannot find image "${wanted}" in the chain of disk "${chain.target}": its layers are ${known}`,
  )
}
