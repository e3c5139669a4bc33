import * as v from 'valibot'
import { blockJobFacts } from './block-job-events.ts'
import { chainFacts } from './chain-events.ts'
import { claimFacts } from './claim-events.ts'
import { emulatorFacts } from './emulator-events.ts'
import { type FactsOf, isInt64 } from './fact.ts'
import { lifecycleFacts } from './lifecycle-events.ts'
import { nodeFacts } from './node-events.ts'
import { refusalFacts } from './refusal-events.ts'
import { snapshotFacts } from './snapshot-events.ts'

/** Every event type that may stand in the log, at its current schema version. */
export const catalogue = {
  ...nodeFacts,
  ...emulatorFacts,
  ...lifecycleFacts,
  ...chainFacts,
  ...blockJobFacts,
  ...snapshotFacts,
  ...claimFacts,
  ...refusalFacts,
}

/** Any fact of the catalogue. */
export type AnyFact = FactsOf<typeof catalogue>

/** Name of an event type. */
export type FactType = AnyFact['type']

/** The facts of the given types. */
export type FactOf<Type extends FactType> = Extract<AnyFact, { readonly type: Type }>

/** Makes a fact of the current schema version. */
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

const decoder = new TextDecoder('utf-8', { fatal: true })

/** A stored fact that this daemon cannot read: an unknown type, a newer schema, or data that does not fit it. */
export class UnreadableFactError extends Error {}

/** Reads a stored fact, of the current or of an older schema version (by its upcast). Throws {@link UnreadableFactError}. */
export function decodeFact(type: string, stored: { readonly schema: number; readonly data: Uint8Array }): AnyFact
export function decodeFact(type: string, stored: { readonly schema: number; readonly data: Uint8Array }): object {
  if (!isFactType(type))
    throw new UnreadableFactError(`Cannot read an event of type "${type}": it is not in the catalogue`)
  const row = catalogue[type]
  if (stored.schema !== row.schema) {
    throw new UnreadableFactError(`Cannot read ${type}: its schema version is ${stored.schema}, known is ${row.schema}`)
  }
  const parsed = v.safeParse(row.data, parseJson(type, stored.data))
  if (!parsed.success) {
    const issue = parsed.issues[0]
    throw new UnreadableFactError(`Cannot read ${type}: ${v.getDotPath(issue) ?? 'data'}: ${issue.message}`)
  }
  return { type, schema: row.schema, data: parsed.output }
}

function parseJson(type: string, stored: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(stored))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new UnreadableFactError(`Cannot read ${type}: its data is not UTF-8 JSON: ${why}`, { cause: error })
  }
}
