import { writeUuid } from './binary-values.ts'
import type { RecordedEvent } from './recorded-event.ts'
import { RepeatedHash } from './repeated-hash.ts'
import { sha256, sha256Bytes, sha256Into } from './sha256.ts'

/** Version of the hashed form below, kept in the log's own row. */
export const leafFormat = 1

// 0x00, position, stream length, revision, type length, schema, event id, commit number, epoch, time, two hashes
const fixedBytes = 1 + 8 + 4 + 8 + 4 + 4 + 16 + 8 + 4 + 8 + 2 * sha256Bytes
const maxBytesPerUnit = 3

// The form is written here, leaf after leaf: its first byte stays 0.
let scratch = Buffer.alloc(4 << 10)
let view = new DataView(scratch.buffer, scratch.byteOffset)
const metaHash = new RepeatedHash()

/**
 * The leaf hash of an event: SHA-256(0x00 || header || SHA-256(data) || SHA-256(meta)). The header, big-endian: position u64, stream
 * (u32 length, UTF-8), revision u64, type (u32 length, UTF-8), schema u32, event id (16 bytes), commit number u64, epoch u32, commit
 * time in microseconds u64. Of erased data the hash is what is left.
 */
export function eventLeaf(event: RecordedEvent): Buffer {
  makeRoom(fixedBytes + maxBytesPerUnit * (event.stream.length + event.type.length))
  view.setBigUint64(1, event.position)
  let at = writeName(event.stream, 9)
  view.setBigUint64(at, event.revision)
  at = writeName(event.type, at + 8)
  view.setUint32(at, event.schema)
  at = writeUuid(scratch, event.eventId, at + 4)
  view.setBigUint64(at, event.commitNo)
  view.setUint32(at + 8, event.epoch)
  view.setBigUint64(at + 12, event.recordedAtUs)
  if (event.dataHash === undefined) sha256Into(scratch, at + 20, event.data)
  else scratch.set(event.dataHash, at + 20)
  metaHash.into(scratch, at + 20 + sha256Bytes, event.meta)
  return sha256(scratch.subarray(0, at + 20 + 2 * sha256Bytes))
}

function writeName(name: string, at: number): number {
  const bytes = scratch.write(name, at + 4)
  view.setUint32(at, bytes)
  return at + 4 + bytes
}

function makeRoom(bytes: number): void {
  if (bytes <= scratch.length) return
  scratch = Buffer.alloc(2 * bytes)
  view = new DataView(scratch.buffer, scratch.byteOffset)
}
