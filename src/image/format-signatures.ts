/** One way by which a file of a format can be told from its first bytes. */
interface FormatSignature {
  readonly format: string
  readonly offset: number
  readonly bytes: Uint8Array
}

/**
 * Image formats by the bytes at a fixed place. Sources: the format documents of QEMU (qcow2, qed, parallels), LUKS on-disk format 1 and 2,
 * Microsoft's VHD and VHDX, VMware's virtual disk format, VirtualBox's VDI. A fixed-size vpc carries its mark in the
 * last 512 bytes only and so is not told from raw here.
 */
const signatures: readonly FormatSignature[] = [
  signature('qcow', 0, [0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 1]),
  signature('qcow2', 0, [0x51, 0x46, 0x49, 0xfb]),
  signature('qed', 0, [0x51, 0x45, 0x44, 0x00]),
  signature('luks', 0, [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe]),
  signature('vmdk', 0, 'KDMV'),
  signature('vmdk', 0, 'COWD'),
  signature('vmdk', 0, '# Disk DescriptorFile'),
  signature('vhdx', 0, 'vhdxfile'),
  signature('vpc', 0, 'conectix'),
  signature('vdi', 64, [0x7f, 0x10, 0xda, 0xbe]),
  signature('parallels', 0, 'WithoutFreeSpace'),
  signature('parallels', 0, 'WithouFreSpacExt'),
]

/** Names of every format that is recognised, `raw` included, in the order of the table. */
export const knownFormats: readonly string[] = [...new Set(['raw', ...signatures.map((row) => row.format)])]

/** Format whose mark stands in the first bytes of a file; null when none does (raw, or something unknown). A hint: a guest can write any mark into a raw image. */
export function recogniseFormat(bytes: Uint8Array): string | null {
  return signatures.find((row) => row.bytes.every((byte, index) => bytes[row.offset + index] === byte))?.format ?? null
}

function signature(format: string, offset: number, mark: string | readonly number[]): FormatSignature {
  return { format, offset, bytes: typeof mark === 'string' ? new TextEncoder().encode(mark) : Uint8Array.from(mark) }
}
