/** Fields of a qcow2 header that a test sets; the rest is what QEMU writes for an empty image of 64 KiB clusters. */
export interface Qcow2Fields {
  readonly version?: number
  readonly clusterBits?: number
  readonly sizeBytes?: bigint
  readonly encryption?: number
  readonly l1Entries?: number
  readonly l1Offset?: bigint
  readonly refcountOffset?: bigint
  readonly refcountClusters?: number
  readonly refcountOrder?: number
  readonly snapshots?: number
  readonly snapshotsOffset?: bigint
  readonly incompatible?: bigint
  readonly autoclear?: bigint
  readonly headerLength?: number
  readonly compression?: number
  readonly backing?: { readonly name: string | Uint8Array; readonly offset?: bigint; readonly lengthBytes?: number }
  readonly extensions?: readonly {
    readonly magic: number
    readonly data: string | Uint8Array
    readonly lengthBytes?: number
  }[]
}

/** Bytes of the first 4 KiB of a qcow2 image with these fields. */
export function qcow2Bytes(fields: Qcow2Fields = {}): Uint8Array {
  const bytes = new Uint8Array(4096)
  const view = new DataView(bytes.buffer)
  const version = fields.version ?? 3
  view.setUint32(0, 0x514649fb)
  view.setUint32(4, version)
  view.setUint32(20, fields.clusterBits ?? 16)
  view.setBigUint64(24, fields.sizeBytes ?? 1_073_741_824n)
  view.setUint32(32, fields.encryption ?? 0)
  view.setUint32(36, fields.l1Entries ?? 2)
  view.setBigUint64(40, fields.l1Offset ?? 0x30000n)
  view.setBigUint64(48, fields.refcountOffset ?? 0x10000n)
  view.setUint32(56, fields.refcountClusters ?? 1)
  view.setUint32(60, fields.snapshots ?? 0)
  view.setBigUint64(64, fields.snapshotsOffset ?? 0n)
  let end = 72
  if (version === 3) {
    view.setBigUint64(72, fields.incompatible ?? 0n)
    view.setBigUint64(88, fields.autoclear ?? 0n)
    view.setUint32(96, fields.refcountOrder ?? 4)
    view.setUint32(100, fields.headerLength ?? 112)
    view.setUint8(104, fields.compression ?? 0)
    end = 112
  }
  for (const extension of fields.extensions ?? []) {
    const data = bytesOf(extension.data)
    view.setUint32(end, extension.magic)
    view.setUint32(end + 4, extension.lengthBytes ?? data.length)
    bytes.set(data, end + 8)
    end += 8 + Math.ceil(data.length / 8) * 8
  }
  if (fields.backing !== undefined) {
    const name = bytesOf(fields.backing.name)
    const offset = fields.backing.offset ?? BigInt(end + 8)
    view.setBigUint64(8, offset)
    view.setUint32(16, fields.backing.lengthBytes ?? name.length)
    if (offset + BigInt(name.length) <= 4096n) bytes.set(name, Number(offset))
  }
  return bytes
}

function bytesOf(text: string | Uint8Array): Uint8Array {
  return typeof text === 'string' ? new TextEncoder().encode(text) : text
}
