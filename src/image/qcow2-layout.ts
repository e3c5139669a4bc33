/** First four bytes, "QFI" and 0xfb. */
export const qcow2Magic = 0x514649fb

/** Byte offsets of the fields, from the document "Qcow2 Image File Format" of QEMU. */
export const at = {
  magic: 0,
  version: 4,
  backingOffset: 8,
  backingLength: 16,
  clusterBits: 20,
  size: 24,
  encryption: 32,
  l1Entries: 36,
  l1Offset: 40,
  refcountOffset: 48,
  refcountClusters: 56,
  snapshots: 60,
  snapshotsOffset: 64,
  incompatible: 72,
  autoclear: 88,
  refcountOrder: 96,
  headerLength: 100,
  compression: 104,
} as const

/** Length of the header of version 2. */
export const version2HeaderBytes = 72
/** Least length of the header of version 3. */
export const version3HeaderBytes = 104

/** Bits of the incompatible features that are understood. */
export const incompatibleBits = { dirty: 0, corrupt: 1, dataFile: 2, compression: 3, extendedL2: 4 } as const
/** Bits of the features that a program clears when it writes without knowing them. */
export const autoclearBits = { bitmaps: 0, dataFileRaw: 1 } as const

/** Fields of the header that the checks of the others need, already within their bounds. */
export interface Qcow2Geometry {
  readonly version: 2 | 3
  readonly headerBytes: number
  readonly clusterBits: number
  /** 1 << clusterBits. */
  readonly clusterBytes: number
  readonly incompatible: bigint
  readonly autoclear: bigint
  readonly fileSizeBytes: bigint
}

/** Whether a feature bit is set. */
export function has(bits: bigint, bit: number): boolean {
  return ((bits >> BigInt(bit)) & 1n) === 1n
}
