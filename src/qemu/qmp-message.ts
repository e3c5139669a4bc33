import * as v from 'valibot'
import { Fault } from '../util/fault.ts'

/** One line from a QEMU monitor, understood. */
export type QmpMessage =
  | { readonly kind: 'greeting'; readonly versionText: string }
  | { readonly kind: 'reply'; readonly id: string; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: string | null; readonly errorClass: string; readonly description: string }
  | { readonly kind: 'event'; readonly event: QmpEvent }

/** What a monitor says to a command. */
export type QmpAnswer = Extract<QmpMessage, { readonly kind: 'reply' | 'error' }>

/** Something that a monitor reported by itself. */
export interface QmpEvent {
  readonly name: string
  readonly data: unknown
  /** QEMU's clock at the event, milliseconds since 1970. */
  readonly atMs: number
}

const unsigned = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const version = v.object({
  qemu: v.object({ major: unsigned, minor: unsigned, micro: unsigned }),
  package: v.string(),
})

const greeting = v.pipe(
  v.object({ QMP: v.object({ version, capabilities: v.array(v.unknown()) }) }),
  v.transform(({ QMP: { version: seen } }): QmpMessage => {
    const { major, minor, micro } = seen.qemu
    return { kind: 'greeting', versionText: `${major}.${minor}.${micro}` }
  }),
)

const event = v.pipe(
  v.object({
    event: v.string(),
    data: v.optional(v.unknown()),
    timestamp: v.object({ seconds: v.number(), microseconds: v.number() }),
  }),
  v.transform(({ event: name, data, timestamp: { seconds, microseconds } }): QmpMessage => {
    return { kind: 'event', event: { name, data, atMs: seconds * 1000 + Math.trunc(microseconds / 1000) } }
  }),
)

const errorReply = v.pipe(
  v.object({ error: v.object({ class: v.string(), desc: v.string() }), id: v.optional(v.string()) }),
  v.transform(({ error, id }): QmpMessage => {
    return { kind: 'error', id: id ?? null, errorClass: error.class, description: error.desc }
  }),
)

const reply = v.pipe(
  v.object({ return: v.unknown(), id: v.string() }),
  v.transform(({ return: value, id }): QmpMessage => ({ kind: 'reply', id, value })),
)

/** The member that tells the kinds of message apart, with the shape that follows from it. */
const shapes = [
  ['return', reply],
  ['event', event],
  ['error', errorReply],
  ['QMP', greeting],
] as const

/** Reads one line of a monitor. Throws Fault for anything that QEMU's protocol does not know. */
export function parseQmpMessage(line: string): QmpMessage {
  const value = parseJson(line)
  if (typeof value === 'object' && value !== null) {
    for (const [member, shape] of shapes) {
      if (!Object.hasOwn(value, member)) continue
      const parsed = v.safeParse(shape, value)
      if (parsed.success) return parsed.output
      break
    }
  }
  throw notUnderstood(line)
}

/**
 * Reads the value of a reply or the data of an event, in the shape that the caller needs of it; unknown members are ignored.
 * Throws Fault naming what QEMU was asked for.
 */
export function parseQmpValue<const Shape extends v.GenericSchema>(
  value: unknown,
  { shape, of }: { readonly shape: Shape; readonly of: string },
): v.InferOutput<Shape> {
  const parsed = v.safeParse(shape, value)
  if (parsed.success) return parsed.output
  const [issue] = parsed.issues
  const where = v.getDotPath(issue) ?? 'the value itself'
  throw new Fault('internal', `Cannot read QEMU's answer to "${of}": at ${where}, ${issue.message}`)
}

/** A count or a size in a reply: QEMU's numbers are 64 bits wide, those above 2^53 would not survive JSON.parse and are refused. */
export const wideUnsigned = v.pipe(
  v.number(),
  v.safeInteger(),
  v.minValue(0),
  v.transform((number) => BigInt(number)),
)

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw notUnderstood(line, cause)
  }
}

function notUnderstood(line: string, cause?: unknown): Fault {
  const start = line.slice(0, 80).replaceAll(/\p{Cc}/gu, '?')
  return new Fault('operation_failed', `Cannot understand the monitor's message "${start}": it is not a QMP message`, {
    cause,
  })
}
