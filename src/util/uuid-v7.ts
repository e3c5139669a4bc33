import { randomFillSync } from 'node:crypto'

const bytes = new Uint8Array(16)

/** A UUID of version 7: 48 bits of milliseconds, then random bits, so that ids made later sort later. */
export function uuidV7(nowMs: number = Date.now()): string {
  randomFillSync(bytes)
  const time = nowMs.toString(16).padStart(12, '0')
  const hex = Buffer.from(bytes).toString('hex')
  const variant = '89ab'.charAt((bytes[8] ?? 0) & 3)
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`
}
