import { blockJobFacts } from './block-job-events.ts'
import { chainFacts } from './chain-events.ts'
import { claimFacts } from './claim-events.ts'
import { emulatorFacts } from './emulator-events.ts'
import { erasureFacts } from './erasure-events.ts'
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
  ...erasureFacts,
}

/** Where the types of each family stand; streams are named `category-id`. All of it is kept for ever. One row per family. */
export const families = [
  {
    streams: ['node-<host uuid>'],
    facts: nodeFacts,
    growth: 'three for each start and stop of the daemon, one each time the clock is set',
  },
  {
    streams: ['emulator-<sha256 of its path>'],
    facts: emulatorFacts,
    growth: 'one when an emulator is new or has changed, at its next use',
  },
  {
    streams: ['domain-<uuid>'],
    facts: lifecycleFacts,
    growth: 'an intent and its outcome for each accepted command; what guests and hypervisor do by themselves',
  },
  { streams: ['domain-<uuid>'], facts: chainFacts, growth: 'one when files were found to be new or changed' },
  {
    streams: ['domain-<uuid>'],
    facts: blockJobFacts,
    growth: 'one for each change of phase of a job; progress is never recorded',
  },
  { streams: ['domain-<uuid>'], facts: snapshotFacts, growth: 'an intent and its outcome for each accepted command' },
  {
    streams: ['name-<name>', 'image-<sha256 of its path>', 'port-<number>'],
    facts: claimFacts,
    growth: 'one for each thing taken or given back, beside the command that does it',
  },
  {
    streams: ['refusals-<uid>', 'refusals-others'],
    facts: refusalFacts,
    growth:
      'bounded by user and time, whatever is asked: 10 a second, 100 a minute, 1,000 an hour and 5,000 a day (an event over 1 KiB counts as several; all users together ten times as much); beyond that one event per flood after 1 s, 10 s and then every minute',
  },
  {
    streams: ['projection-<name>'],
    facts: projectionFacts,
    growth: 'one for each thing that operators have projections do',
  },
  { streams: ['node-<host uuid>'], facts: erasureFacts, growth: 'one for each event whose data is erased' },
] as const satisfies readonly Family[]

/** A family of event types and the streams that they stand on. */
export interface Family {
  readonly streams: readonly string[]
  readonly facts: Readonly<Record<string, AnyFactRow>>
  /** How many events may come: what bounds the growth of these streams. */
  readonly growth: string
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
