import { createHash } from 'node:crypto'
import { closeSync, openSync, statSync } from 'node:fs'
import koffi from 'koffi'

/** `KVM_GET_SUPPORTED_CPUID` of linux/kvm.h: read and write a struct of 8 bytes and the entries behind it. */
const getSupportedCpuid = 0xc008ae05
const headBytes = 8
const entryBytes = 40
const maxEntries = 256

// Bound while this module loads, at the daemon's start: node_modules may vanish while it runs.
const ioctl = koffi.load(null).func('int ioctl(int fd, unsigned long request, _Inout_ uint8_t *argument)')

/** Registers by number (eax, ebx, ecx, edx) that say which CPU was asked, with the bits that do, by leaf. */
const placeBits: ReadonlyMap<number, readonly (readonly [register: number, mask: number])[]> = new Map([
  [0x1, [[1, 0xff000000]]],
  [0xb, [[3, 0xffffffff]]],
  [0x1f, [[3, 0xffffffff]]],
  [
    0x8000001e,
    [
      [0, 0xffffffff],
      [1, 0xff],
      [2, 0xff],
    ],
  ],
])

/** The CPU features that KVM can give to guests, as a hash; asked again only when the device was made anew, as it is with its module. */
export class KvmCpuid {
  readonly #device: string
  #memo: { readonly ctimeNs: bigint; readonly hash: string | null } | null = null

  constructor(device = '/dev/kvm') {
    this.#device = device
  }

  /** Lower-case hex SHA-256; null where there is no KVM, it may not be opened, or it has no such question (not x86). */
  hash(): string | null {
    const stats = statSync(this.#device, { bigint: true, throwIfNoEntry: false })
    if (stats === undefined || !stats.isCharacterDevice()) return null
    if (this.#memo?.ctimeNs !== stats.ctimeNs) {
      const entries = supportedCpuid(this.#device)
      this.#memo = { ctimeNs: stats.ctimeNs, hash: entries === null ? null : hashOf(entries) }
    }
    return this.#memo.hash
  }
}

function supportedCpuid(device: string): Buffer | null {
  let descriptor: number
  try {
    descriptor = openSync(device, 'r+')
  } catch {
    return null
  }
  try {
    const table = Buffer.alloc(headBytes + maxEntries * entryBytes)
    table.writeUInt32LE(maxEntries, 0)
    const status: unknown = ioctl(descriptor, getSupportedCpuid, table)
    if (status !== 0) return null
    return table.subarray(headBytes, headBytes + table.readUInt32LE(0) * entryBytes)
  } finally {
    closeSync(descriptor)
  }
}

/** An entry is function, index, flags, eax, ebx, ecx, edx and three words of padding. */
function hashOf(entries: Buffer): string {
  const hash = createHash('sha256')
  for (let at = 0; at + entryBytes <= entries.length; at += entryBytes) {
    const entry = Buffer.from(entries.subarray(at, at + entryBytes))
    for (const [register, mask] of placeBits.get(entry.readUInt32LE(0)) ?? []) {
      const place = 12 + register * 4
      entry.writeUInt32LE((entry.readUInt32LE(place) & ~mask) >>> 0, place)
    }
    hash.update(entry)
  }
  return hash.digest('hex')
}
