import { hash } from 'node:crypto'
import type { RecordedEvent } from './recorded-event.ts'

/** Version of the hashed form below, kept in the log's own row. */
export const leafFormat = 1

/**
 * The leaf hash of an event: SHA-256(0x00 || header || SHA-256(data) || SHA-256(meta)). The header, big-endian: position u64, stream
 * (u32 length, UTF-8), revision u64, type (u32 length, UTF-8), schema u32, event id (16 bytes), commit number u64, epoch u32, commit
 * time in microseconds u64.
 */
export function eventLeaf(event: RecordedEvent): Uint8Array {
  const streamBytes = Buffer.byteLength(event.stream)
  const typeBytes = Buffer.byteLength(event.type)
  const leaf = Buffer.alloc(fixedBytes + streamBytes + typeBytes)
  let at = leaf.writeBigUInt64BE(event.position, 1)
  at = leaf.writeUInt32BE(streamBytes, at)
  at += leaf.write(event.stream, at)
  at = leaf.writeBigUInt64BE(event.revision, at)
  at = leaf.writeUInt32BE(typeBytes, at)
  at += leaf.write(event.type, at)
  at = leaf.writeUInt32BE(event.schema, at)
  at += leaf.write(event.eventId.replaceAll('-', ''), at, 'hex')
  at = leaf.writeBigUInt64BE(event.commitNo, at)
  at = leaf.writeUInt32BE(event.epoch, at)
  at = leaf.writeBigUInt64BE(event.recordedAtUs, at)
  leaf.set(hash('sha256', event.data, 'buffer'), at)
  leaf.set(hash('sha256', event.meta, 'buffer'), at + 32)
  return hash('sha256', leaf, 'buffer')
}

// 0x00, position, stream length, revision, type length, schema, event id, commit number, epoch, time, two hashes
const fixedBytes = 1 + 8 + 4 + 8 + 4 + 4 + 16 + 8 + 4 + 8 + 32 + 32
