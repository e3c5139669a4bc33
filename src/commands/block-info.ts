import { Fault } from '../util/fault.ts'
import { chainRequestOf } from './known-chains.ts'
import { chainOfDisk } from './find-layer.ts'
import type { Host } from './host.ts'
import { nextDefinition } from './live-definition.ts'
import type { DomainView } from './reads.ts'

/** Sizes of a disk in bytes: what the guest sees, what is allocated, and the size of the file. */
export interface DiskSizes {
  readonly capacityBytes: bigint
  readonly allocationBytes: bigint
  readonly physicalBytes: bigint
}

/** Sizes of a disk's active image: by stat and what is recorded; only a disk whose chain was never detected has its header read. */
export async function blockInfo(
  host: Pick<Host, 'reads' | 'texts' | 'images' | 'limits'>,
  domain: DomainView,
  disk: string,
): Promise<DiskSizes> {
  const { byDisk } = host.reads.chains(domain.uuid)
  if (domain.active || byDisk[disk] !== undefined) {
    const [active] = chainOfDisk(byDisk, disk).layers
    if (active !== undefined) return await measured(host, active)
  }
  const found = (await nextDefinition(host, domain)).devices.disks.find(
    (one) => one.target.dev === disk || one.source?.file === disk,
  )
  if (found?.source?.file === undefined) throw new Fault('invalid_arg', `invalid path ${disk} not assigned to domain`)
  const { given } = chainRequestOf(found)
  const [active] = await host.images.readChain(
    { given: given.slice(0, 1), terminated: true },
    AbortSignal.timeout(host.limits.hypervisorMs),
  )
  if (active === undefined)
    throw new Fault('operation_failed', `Cannot measure disk "${disk}": its image has no header`)
  return await measured(host, active)
}

async function measured(
  host: Pick<Host, 'images'>,
  layer: { readonly path: string; readonly virtualSizeBytes: bigint },
): Promise<DiskSizes> {
  const sizes = await host.images.measure(layer.path, layer.virtualSizeBytes)
  return { capacityBytes: layer.virtualSizeBytes, ...sizes }
}
