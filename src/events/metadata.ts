import * as v from 'valibot'
import { about, int64 } from './fact.ts'

/** Who acts: a peer of a socket, as the kernel names it, or the daemon itself. */
export const actorSchema = v.object({
  uid: about(v.number(), 'user'),
  gid: about(v.number(), 'group'),
  pid: about(v.number(), 'process id'),
  program: about(v.string(), 'path of the executable, or its short name'),
  address: about(v.string(), 'socket that it came by; local = the daemon itself'),
  authentication: about(v.string(), 'how it is known: peer = by the kernel, self = the daemon itself'),
})

/** What stands beside the data of every event of the daemon. */
export const metadataSchema = v.object({
  hostId: about(v.string(), 'UUID of the host'),
  occurredAtUs: about(int64, 'when it happened, by the clock of the host'),
  actor: about(actorSchema, 'who acted'),
  procedure: about(
    v.string(),
    'what was called, by its name in the procedure table, or which part of the daemon acted',
  ),
  commandId: about(v.string(), 'the command that recorded it'),
  correlationId: about(v.string(), 'the request that everything began with'),
  causationId: about(v.nullable(v.string()), 'the command that caused this one; null = its request alone'),
  capsId: about(v.nullable(v.string()), 'capability version that it was judged by; null = none was needed'),
  reason: about(v.nullable(v.string()), 'why, as the client said it; null = it said nothing'),
})

/** Who acts, as recorded with every event. */
export type Actor = Readonly<v.InferOutput<typeof actorSchema>>

/** What stands beside every fact: who, by which procedure, for which request, caused by what, judged by which capability version, and why. */
export interface Metadata extends Readonly<Omit<v.InferOutput<typeof metadataSchema>, 'actor'>> {
  readonly actor: Actor
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/** Stored form of metadata: UTF-8 JSON. */
export function encodeMetadata(metadata: Metadata): string {
  return JSON.stringify(metadata, (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value))
}

/** Reads stored metadata; throws when it is not what {@link encodeMetadata} wrote. */
export function decodeMetadata(stored: Uint8Array): Metadata {
  return v.parse(metadataSchema, JSON.parse(decoder.decode(stored)))
}
