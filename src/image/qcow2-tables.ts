import type { ByteWindow } from './byte-window.ts'
import { at, has, incompatibleBits, type Qcow2Geometry } from './qcow2-layout.ts'

// What QEMU itself refuses to open beyond.
const maxL1Bytes = 32 * 1024 * 1024
const maxRefcountTableBytes = 8 * 1024 * 1024
const maxSnapshots = 65_536
const maxVirtualSizeBytes = 2n ** 63n - 1n

/** Size that the guest sees, in bytes; refused when the L1 table cannot hold it or lies outside the file. */
export function readVirtualSize(window: ByteWindow, geometry: Qcow2Geometry): bigint {
  const sizeBytes = window.u64(at.size)
  if (sizeBytes > maxVirtualSizeBytes) {
    window.refuse('virtual_size', at.size, `its size is ${sizeBytes} bytes, at most ${maxVirtualSizeBytes} are allowed`)
  }
  const entries = window.u32(at.l1Entries)
  if (entries * 8 > maxL1Bytes) {
    window.refuse(
      'l1_table',
      at.l1Entries,
      `its L1 table has ${entries} entries, at most ${maxL1Bytes / 8} are allowed`,
    )
  }
  const l2EntryBytes = has(geometry.incompatible, incompatibleBits.extendedL2) ? 16 : 8
  const bytesPerEntry = BigInt(geometry.clusterBytes) * BigInt(geometry.clusterBytes / l2EntryBytes)
  const needed = (sizeBytes + bytesPerEntry - 1n) / bytesPerEntry
  if (BigInt(entries) < needed) {
    window.refuse(
      'l1_table',
      at.l1Entries,
      `its L1 table has ${entries} entries, a size of ${sizeBytes} bytes needs ${needed}`,
    )
  }
  checkTable(window, geometry, {
    name: 'the L1 table',
    rule: 'l1_table',
    field: at.l1Offset,
    lengthBytes: BigInt(entries * 8),
  })
  return sizeBytes
}

/** Checks width and table of the reference counts. */
export function checkRefcounts(window: ByteWindow, geometry: Qcow2Geometry): void {
  if (geometry.version === 3) {
    const order = window.u32(at.refcountOrder)
    if (order > 6) window.refuse('refcount', at.refcountOrder, `refcount_order is ${order}, it must be at most 6`)
  }
  const lengthBytes = window.u32(at.refcountClusters) * geometry.clusterBytes
  if (lengthBytes === 0 || lengthBytes > maxRefcountTableBytes) {
    window.refuse(
      'refcount',
      at.refcountClusters,
      `its reference count table is ${lengthBytes} bytes long, it must be between 1 and ${maxRefcountTableBytes}`,
    )
  }
  // Only the start must be in the file: QEMU pads the last cluster on reading.
  checkTable(window, geometry, {
    name: 'the reference count table',
    rule: 'refcount',
    field: at.refcountOffset,
    lengthBytes: 8n,
  })
}

/** Number of internal snapshots; refused when their table cannot lie within the file. */
export function readSnapshotCount(window: ByteWindow, geometry: Qcow2Geometry): number {
  const snapshots = window.u32(at.snapshots)
  if (snapshots > maxSnapshots) {
    window.refuse(
      'snapshot_table',
      at.snapshots,
      `it has ${snapshots} internal snapshots, at most ${maxSnapshots} are allowed`,
    )
  }
  // A row of the table has at least 40 bytes.
  checkTable(window, geometry, {
    name: 'the snapshot table',
    rule: 'snapshot_table',
    field: at.snapshotsOffset,
    lengthBytes: BigInt(snapshots) * 40n,
  })
  return snapshots
}

/** A table must begin at a cluster and lie within the file; one of no bytes may point anywhere. */
function checkTable(
  window: ByteWindow,
  geometry: Qcow2Geometry,
  table: {
    readonly name: string
    readonly rule: 'l1_table' | 'refcount' | 'snapshot_table'
    readonly field: number
    readonly lengthBytes: bigint
  },
): void {
  if (table.lengthBytes === 0n) return
  const offset = window.u64(table.field)
  if (offset === 0n || offset % BigInt(geometry.clusterBytes) !== 0n) {
    window.refuse(
      table.rule,
      table.field,
      `${table.name} lies at ${offset}, it must begin at a cluster (of ${geometry.clusterBytes} bytes) after the header`,
    )
  }
  if (offset + table.lengthBytes > geometry.fileSizeBytes) {
    window.refuse(
      table.rule,
      table.field,
      `${table.name} lies at ${offset}, the file ends at ${geometry.fileSizeBytes}`,
    )
  }
}
