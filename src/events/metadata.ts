import * as v from 'valibot'
import { int64 } from './fact.ts'

/** Who acts: a peer of a socket, as the kernel names it, or the daemon itself. */
export const actorSchema = v.object({
  uid: v.number(),
  gid: v.number(),
  pid: v.number(),
  program: v.string(),
  address: v.string(),
  authentication: v.string(),
})

const metadataSchema = v.object({
  hostId: v.string(),
  occurredAtUs: int64,
  actor: actorSchema,
  procedure: v.string(),
  commandId: v.string(),
  correlationId: v.string(),
  causationId: v.nullable(v.string()),
  capsId: v.nullable(v.string()),
  reason: v.nullable(v.string()),
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
