const binary = ['', 'k', 'm', 'g', 't', 'p', 'e']

/** Bytes per unit by the spelling of libvirt's `unit` attribute, lower case: `KB` is 1000, `k` and `KiB` are 1024. */
const bytesPerUnit = new Map<string, bigint>([
  ['b', 1n],
  ['byte', 1n],
  ['bytes', 1n],
])
for (const [power, prefix] of binary.entries()) {
  if (power === 0) continue
  bytesPerUnit.set(prefix, 1024n ** BigInt(power))
  bytesPerUnit.set(`${prefix}ib`, 1024n ** BigInt(power))
  bytesPerUnit.set(`${prefix}b`, 1000n ** BigInt(power))
}

/** Scales an amount to bytes, or answers undefined for an unknown unit. */
export function scaleToBytes(amount: bigint, unit: string): bigint | undefined {
  const factor = bytesPerUnit.get(unit.toLowerCase())
  return factor === undefined ? undefined : amount * factor
}

/** Rounds bytes up to whole KiB. */
export function kibOf(sizeBytes: bigint): bigint {
  return (sizeBytes + 1023n) / 1024n
}

/** Spellings of units, for messages. */
export const memoryUnits = 'b, bytes, KB, k, KiB, MB, M, MiB, GB, G, GiB, TB, T, TiB, PB, P, PiB, EB, E, EiB'
