import type { ImageHeader } from './image-header.ts'

const sectorBytes = 512n

/** A raw image has no header: the guest sees the file, rounded up to whole sectors as QEMU does. */
export function readRawHeader(fileSizeBytes: bigint): ImageHeader {
  return {
    format: 'raw',
    virtualSizeBytes: ((fileSizeBytes + sectorBytes - 1n) / sectorBytes) * sectorBytes,
    backing: null,
    dataFile: null,
    encrypted: false,
    clusterSizeBytes: null,
    qcow2: null,
  }
}
