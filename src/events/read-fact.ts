import * as v from 'valibot'
import type { AnyFactRow } from './fact.ts'

/** A stored fact as the log has it. Stream and position only say where it stands, for the words of an error. */
export interface StoredFact {
  /** The schema version that it was written in. */
  readonly schema: number
  readonly data: Uint8Array
  /** Set where the data was erased. */
  readonly dataHash?: Uint8Array
  readonly stream?: string
  readonly position?: bigint
}

/** A stored fact that this daemon cannot read: an unknown type, a newer schema version, or data that does not fit its version. */
export class UnreadableFactError extends Error {}

const decoder = new TextDecoder('utf-8', { fatal: true })

/**
 * Reads a stored fact by the rows of a catalogue: its bytes by the parser of the version that they were written in, then
 * step by step into the newest form. Throws {@link UnreadableFactError}.
 */
export function readFact(
  rows: Readonly<Record<string, AnyFactRow>>,
  type: string,
  stored: StoredFact,
): { readonly type: string; readonly schema: number; readonly data: unknown } {
  const row = Object.hasOwn(rows, type) ? rows[type] : undefined
  if (row === undefined) refuse(type, stored, 'it is not in the catalogue of this program')
  const steps = stepsFrom(row, stored.schema)
  if (steps === null) {
    refuse(type, stored, `this program knows ${row.schema === 1 ? 'version 1' : `versions 1 to ${row.schema}`}`)
  }
  const parsed = v.safeParse(steps[0]?.from ?? row.data, parseJson(type, stored), { abortEarly: true })
  if (!parsed.success) {
    const issue = parsed.issues[0]
    refuse(type, stored, `${v.getDotPath(issue) ?? 'data'}: ${issue.message}`)
  }
  const data = steps.reduce((lifted, step) => step.lift(lifted), parsed.output)
  return { type, schema: row.schema, data }
}

/** What leads from a version to the newest; null where that version is none of the known ones. */
function stepsFrom(row: AnyFactRow, schema: number): AnyFactRow['older'] | null {
  if (schema === row.schema) return none
  return Number.isInteger(schema) && schema >= 1 && schema < row.schema ? row.older.slice(schema - 1) : null
}

const none: AnyFactRow['older'] = []

function parseJson(type: string, stored: StoredFact): unknown {
  if (stored.dataHash !== undefined) refuse(type, stored, 'its data was erased')
  try {
    return JSON.parse(decoder.decode(stored.data))
  } catch (error) {
    refuse(type, stored, `its data is not UTF-8 JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function refuse(type: string, stored: StoredFact, why: string): never {
  const { schema, position, stream } = stored
  const place = `${position === undefined ? '' : ` @${position}`}${stream === undefined ? '' : ` of stream "${stream}"`}`
  throw new UnreadableFactError(`Cannot read ${type} version ${schema}${place}: ${why}`)
}
