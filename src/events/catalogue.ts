import { blockJobFacts } from './block-job-events.ts'
import { chainFacts } from './chain-events.ts'
import { claimFacts } from './claim-events.ts'
import { emulatorFacts } from './emulator-events.ts'
import { type AnyFactRow, type FactsOf, isInt64 } from './fact.ts'
import { lifecycleFacts } from './lifecycle-events.ts'
import { nodeFacts } from './node-events.ts'
import { projectionFacts } from './projection-events.ts'
import { readFact, type StoredFact } from './read-fact.ts'
import { refusalFacts } from './refusal-events.ts'
import { snapshotFacts } from './snapshot-events.ts'

/** Every event type that may stand in the log, at its newest schema version. */
export const catalogue = {
  ...nodeFacts,
  ...emulatorFacts,
  ...lifecycleFacts,
  ...chainFacts,
  ...blockJobFacts,
  ...snapshotFacts,
  ...claimFacts,
  ...refusalFacts,
  ...projectionFacts,
}

/** Where the types of each family stand; streams are named `category-id`. One row per family. */
export const families = [
  { streams: ['node-<host uuid>'], facts: nodeFacts },
  { streams: ['emulator-<sha256 of its path>'], facts: emulatorFacts },
  { streams: ['domain-<uuid>'], facts: lifecycleFacts },
  { streams: ['domain-<uuid>'], facts: chainFacts },
  { streams: ['domain-<uuid>'], facts: blockJobFacts },
  { streams: ['domain-<uuid>'], facts: snapshotFacts },
  { streams: ['name-<name>', 'image-<sha256 of its path>', 'port-<number>'], facts: claimFacts },
  { streams: ['refusals-<uid>', 'refusals-others'], facts: refusalFacts },
  { streams: ['projection-<name>'], facts: projectionFacts },
] as const satisfies readonly Family[]

/** A family of event types and the streams that they stand on. */
export interface Family {
  readonly streams: readonly string[]
  readonly facts: Readonly<Record<string, AnyFactRow>>
}

/** Any fact of the catalogue. */
export type AnyFact = FactsOf<typeof catalogue>

/** Name of an event type. */
export type FactType = AnyFact['type']

/** The facts of the given types. */
export type FactOf<Type extends FactType> = Extract<AnyFact, { readonly type: Type }>

/** Makes a fact of the newest schema version: nothing else is ever written. */
export function newFact<Type extends FactType>(type: Type, data: FactOf<Type>['data']): FactOf<Type>
export function newFact(type: FactType, data: object): object {
  return { type, schema: catalogue[type].schema, data }
}

/** Whether the name is that of a known event type. */
export function isFactType(type: string): type is FactType {
  return Object.hasOwn(catalogue, type)
}

/**
 * Stored form of a fact's data: UTF-8 JSON, 64-bit numbers as decimal strings. Throws for a number that could not be read
 * back: what is in the log stays there, and an unreadable fact blocks its whole stream.
 */
export function encodeData(data: object): string {
  return JSON.stringify(data, (key, value: unknown) => {
    if (typeof value === 'number' && !Number.isFinite(value)) throw new RangeError(`Cannot store ${key} = ${value}`)
    if (typeof value !== 'bigint') return value
    if (!isInt64(value)) throw new RangeError(`Cannot store ${key} = ${value}: it does not fit into 64 bits`)
    return value.toString()
  })
}

/**
 * Reads a stored fact, whatever schema version it was written in, into its newest form. Throws `UnreadableFactError`, which
 * names the event's place where it is given.
 */
export function decodeFact(type: string, stored: StoredFact): AnyFact
export function decodeFact(type: string, stored: StoredFact): object {
  return readFact(catalogue, type, stored)
}
