import { ByteWindow } from './byte-window.ts'
import { recogniseFormat } from './format-signatures.ts'
import type { ImageHeader } from './image-header.ts'
import { type Qcow2Extensions, readQcow2Extensions } from './qcow2-extensions.ts'
import {
  at,
  autoclearBits,
  has,
  incompatibleBits,
  type Qcow2Geometry,
  qcow2Magic,
  version2HeaderBytes,
  version3HeaderBytes,
} from './qcow2-layout.ts'
import { checkRefcounts, readSnapshotCount, readVirtualSize } from './qcow2-tables.ts'

// QEMU keeps the name in 1024 bytes with a terminating NUL.
const maxBackingNameBytes = 1023

/** Reads the header of a qcow2 image, version 2 or 3; every number in it is checked before it is used. Throws ImageHeaderError. */
export function readQcow2Header(bytes: Uint8Array, fileSizeBytes: bigint): ImageHeader {
  const window = new ByteWindow(bytes, 'qcow2 header')
  if (window.lengthBytes < 4 || window.u32(at.magic) !== qcow2Magic) {
    const looksLike = recogniseFormat(bytes)
    window.refuse(
      'magic',
      at.magic,
      `the file does not begin as qcow2 must${looksLike === null ? '' : `, it looks like ${looksLike}`}`,
    )
  }
  const geometry = readGeometry(window, fileSizeBytes)
  const backingName = readBackingName(window, geometry)
  const extensions = readQcow2Extensions(window, {
    startOffset: geometry.headerBytes,
    endOffset: backingName?.offset ?? Math.min(geometry.clusterBytes, window.lengthBytes),
  })
  checkFeatures(window, geometry, extensions)
  const virtualSizeBytes = readVirtualSize(window, geometry)
  checkRefcounts(window, geometry)
  const encryption = readEncryption(window)
  return {
    format: 'qcow2',
    virtualSizeBytes,
    backing: backingName === null ? null : { name: backingName.name, format: extensions.backingFormat },
    dataFile: readDataFile(window, geometry, extensions),
    encrypted: encryption !== null,
    clusterSizeBytes: geometry.clusterBytes,
    qcow2: {
      version: geometry.version,
      encryption,
      compression: readCompression(window, geometry),
      extendedL2: has(geometry.incompatible, incompatibleBits.extendedL2),
      dirty: has(geometry.incompatible, incompatibleBits.dirty),
      corrupt: has(geometry.incompatible, incompatibleBits.corrupt),
      dataFileRaw: has(geometry.autoclear, autoclearBits.dataFileRaw),
      internalSnapshots: readSnapshotCount(window, geometry),
      bitmaps: has(geometry.autoclear, autoclearBits.bitmaps) ? extensions.bitmaps : null,
    },
  }
}

function readGeometry(window: ByteWindow, fileSizeBytes: bigint): Qcow2Geometry {
  const version = window.u32(at.version)
  if (version !== 2 && version !== 3) {
    return window.refuse('version', at.version, `its version is ${version}, it must be 2 or 3`)
  }
  const clusterBits = window.u32(at.clusterBits)
  if (clusterBits < 9 || clusterBits > 21) {
    window.refuse('cluster_bits', at.clusterBits, `cluster_bits is ${clusterBits}, it must be between 9 and 21`)
  }
  const clusterBytes = 2 ** clusterBits
  const headerBytes = version === 2 ? version2HeaderBytes : window.u32(at.headerLength)
  if (version === 3 && (headerBytes < version3HeaderBytes || headerBytes > clusterBytes)) {
    window.refuse(
      'header_length',
      at.headerLength,
      `header_length is ${headerBytes}, it must be between ${version3HeaderBytes} and the cluster size ${clusterBytes}`,
    )
  }
  return {
    version,
    headerBytes,
    clusterBits,
    clusterBytes,
    incompatible: version === 3 ? window.u64(at.incompatible) : 0n,
    autoclear: version === 3 ? window.u64(at.autoclear) : 0n,
    fileSizeBytes,
  }
}

function readBackingName(
  window: ByteWindow,
  geometry: Qcow2Geometry,
): { readonly name: string; readonly offset: number } | null {
  const offset = window.u64(at.backingOffset)
  if (offset === 0n) return null
  const lengthBytes = window.u32(at.backingLength)
  if (lengthBytes > maxBackingNameBytes) {
    window.refuse(
      'backing_name',
      at.backingLength,
      `the name of the backing file is ${lengthBytes} bytes long, at most ${maxBackingNameBytes} are allowed`,
    )
  }
  if (offset < BigInt(geometry.headerBytes) || offset + BigInt(lengthBytes) > BigInt(geometry.clusterBytes)) {
    window.refuse(
      'backing_name',
      at.backingOffset,
      `the name of the backing file lies at ${offset}, it must lie between the header and the end of the first cluster (${geometry.clusterBytes})`,
    )
  }
  // QEMU treats a name of no bytes as no backing file.
  if (lengthBytes === 0) return null
  const name = window.text({
    name: 'the name of the backing file',
    rule: 'backing_name',
    offset: Number(offset),
    lengthBytes,
  })
  return { name, offset: Number(offset) }
}

function checkFeatures(window: ByteWindow, geometry: Qcow2Geometry, extensions: Qcow2Extensions): void {
  const known: readonly number[] = Object.values(incompatibleBits)
  for (let bit = 0; bit < 64; bit += 1) {
    if (!has(geometry.incompatible, bit) || known.includes(bit)) continue
    const name = extensions.featureNames.get(`0:${bit}`)
    window.refuse(
      'features',
      at.incompatible,
      `it needs the unknown incompatible feature ${name === undefined ? `bit ${bit}` : `"${name}" (bit ${bit})`}`,
    )
  }
  if (has(geometry.incompatible, incompatibleBits.extendedL2) && geometry.clusterBits < 14) {
    window.refuse(
      'cluster_bits',
      at.clusterBits,
      `cluster_bits is ${geometry.clusterBits}, extended L2 entries need at least 14`,
    )
  }
}

function readEncryption(window: ByteWindow): 'aes' | 'luks' | null {
  const methods = [null, 'aes', 'luks'] as const
  const method = window.u32(at.encryption)
  return (
    methods[method] ??
    (method === 0
      ? null
      : window.refuse('encryption_method', at.encryption, `its encryption method is ${method}, it must be 0, 1 or 2`))
  )
}

function readCompression(window: ByteWindow, geometry: Qcow2Geometry): 'zlib' | 'zstd' {
  const types = ['zlib', 'zstd'] as const
  const value = geometry.headerBytes > at.compression ? window.u8(at.compression) : 0
  return (
    types[value] ??
    window.refuse('compression_type', at.compression, `its compression type is ${value}, it must be 0 or 1`)
  )
}

function readDataFile(window: ByteWindow, geometry: Qcow2Geometry, extensions: Qcow2Extensions): string | null {
  // Without the feature bit the name is a leftover: QEMU keeps the data in this file.
  if (!has(geometry.incompatible, incompatibleBits.dataFile)) return null
  if (extensions.dataFile === null || extensions.dataFile === '') {
    return window.refuse('data_file', null, 'it keeps its data in another file whose name is empty')
  }
  return extensions.dataFile
}
