import { hash } from 'node:crypto'

declare module 'node:crypto' {
  // Documented as an encoding of Buffer; the types of hash() leave it out.
  function hash(algorithm: string, data: Uint8Array, outputEncoding: 'latin1'): string
}

/** Bytes of a SHA-256. */
export const sha256Bytes = 32

/**
 * Writes the SHA-256 of `bytes` into `target` at an offset. The digest comes back as a string, one character a byte: Node makes a string
 * of it three times as fast as a Buffer.
 */
export function sha256Into(target: Buffer, at: number, bytes: Uint8Array): void {
  target.write(hash('sha256', bytes, 'latin1'), at, sha256Bytes, 'latin1')
}

/** The SHA-256 of `bytes`. */
export function sha256(bytes: Uint8Array): Buffer {
  const digest = Buffer.allocUnsafe(sha256Bytes)
  sha256Into(digest, 0, bytes)
  return digest
}
