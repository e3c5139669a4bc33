import { sha256, sha256Bytes } from './sha256.ts'

// RFC 6962 section 2.1: a leaf is hashed behind 0x00, a node behind 0x01, so that neither can be taken for the other
const leafPrefix = Uint8Array.of(0)
const nodeScratch = Buffer.alloc(1 + 2 * sha256Bytes)
nodeScratch[0] = 1

/** The root of the tree without leaves: the hash of nothing. */
export const emptyRoot: Uint8Array = sha256(new Uint8Array())

/** The hash of a leaf with these bytes. */
export function leafHash(bytes: Uint8Array): Buffer {
  return sha256(Buffer.concat([leafPrefix, bytes]))
}

/** The hash of the node over two subtrees, 32 bytes each. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  nodeScratch.set(left, 1)
  nodeScratch.set(right, 1 + sha256Bytes)
  return sha256(nodeScratch)
}
