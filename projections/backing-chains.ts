import type { RecordedEvent } from '../src/readmodel/projection.ts'
import { type Chains, evolveChains, type Layer } from '../src/model/chain.ts'
import { projection } from '../src/readmodel/projection.ts'
import { remove, type RowChange, type RowsOf, table, upsert } from '../src/readmodel/table.ts'
import { type DomainFact, uuidOf } from './domain-fact.ts'

/** One file of the chain of one disk. */
export interface DiskLayerRow {
  readonly domain_uuid: string
  readonly disk: string
  readonly layer: number
  readonly ordinal: number
  readonly role: 'active' | 'intermediate' | 'base'
  readonly path: string
  readonly format: string
  readonly virtual_size_bytes: bigint
  readonly created_by: string
  readonly device: bigint
  readonly inode: bigint
  readonly size_bytes: bigint
  readonly mtime_ns: bigint
  readonly ctime_ns: bigint
}

/** Layers by domain, disk and number; `by_domain` finds all layers of a domain. */
export const diskLayersTable = table<DiskLayerRow>()('disk_layers', ['domain_uuid', 'disk', 'layer'], {
  by_domain: (row) => row.domain_uuid,
  by_path: (row) => row.path,
})

interface ChainTables {
  readonly layers: RowsOf<typeof diskLayersTable>
}

/** Read model of backing chains: the model's own rules, applied to the rows of one domain. */
export const backingChains = projection<DomainFact>()({
  name: 'backing_chains',
  version: 1,
  live: true,
  tables: { layers: diskLayersTable },
  on: {
    BackingChainDetected: rowsAfter,
    BackingChainAdopted: rowsAfter,
    BackingChainForgotten: rowsAfter,
    BackingChainVerified: rowsAfter,
    DomainDestroyed: rowsAfter,
    DomainShutOff: rowsAfter,
    DomainCrashed: rowsAfter,
    SnapshotCreated: rowsAfter,
    BlockJobPivoted: rowsAfter,
    BlockJobCompleted: rowsAfter,
    DomainForgotten: rowsAfter,
  },
})

function rowsAfter(event: DomainFact, { layers }: ChainTables, recorded: RecordedEvent): RowChange[] {
  const uuid = uuidOf(recorded.stream)
  const before = layers.by('by_domain', uuid)
  const wanted = rowsOf(uuid, evolveChains(chainsOf(before), event))
  const kept = new Set(wanted.map((row) => `${row.disk}/${row.layer}`))
  return [
    ...before.filter((row) => !kept.has(`${row.disk}/${row.layer}`)).map((row) => remove(diskLayersTable, row)),
    ...wanted.map((row) => upsert(diskLayersTable, row)),
  ]
}

/** The chains that rows tell of, for reads. */
export function chainsOf(rows: readonly DiskLayerRow[]): Chains {
  const byDisk: Record<string, Layer[]> = {}
  for (const row of rows.toSorted((a, b) => a.ordinal - b.ordinal)) {
    const layers = (byDisk[row.disk] ??= [])
    layers.push({
      index: row.layer,
      path: row.path,
      format: row.format === 'raw' ? 'raw' : 'qcow2',
      virtualSizeBytes: row.virtual_size_bytes,
      createdBy: row.created_by,
      file: {
        device: row.device,
        inode: row.inode,
        sizeBytes: row.size_bytes,
        mtimeNs: row.mtime_ns,
        ctimeNs: row.ctime_ns,
      },
    })
  }
  return { byDisk, nextIndex: 1, drifts: {} }
}

function rowsOf(uuid: string, chains: Chains): DiskLayerRow[] {
  return Object.entries(chains.byDisk).flatMap(([disk, layers]) =>
    layers.map((layer, ordinal) => ({
      domain_uuid: uuid,
      disk,
      layer: layer.index,
      ordinal,
      role:
        ordinal === 0
          ? ('active' as const)
          : ordinal === layers.length - 1
            ? ('base' as const)
            : ('intermediate' as const),
      path: layer.path,
      format: layer.format,
      virtual_size_bytes: layer.virtualSizeBytes,
      created_by: layer.createdBy,
      device: layer.file.device,
      inode: layer.file.inode,
      size_bytes: layer.file.sizeBytes,
      mtime_ns: layer.file.mtimeNs,
      ctime_ns: layer.file.ctimeNs,
    })),
  )
}
