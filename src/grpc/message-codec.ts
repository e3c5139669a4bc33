import protobuf from 'protobufjs/light.js'
import * as v from 'valibot'
import { type FieldRow, type MessageName, type MessageRow, messageTable } from './message-table.ts'

/** A 64-bit number as it is handed to {@link messageEncoder}: two halves, so that nothing is lost over 2^53. */
export interface Wire64 {
  readonly low: number
  readonly high: number
}

/** A 64-bit number for a message; negative ones in two's complement. */
export function wire64(value: bigint): Wire64 {
  return { low: Number(BigInt.asIntN(32, value)), high: Number(BigInt.asIntN(32, value >> 32n)) }
}

/** Reads a 64-bit field as bigint. */
export const int64Field = v.pipe(
  v.string(),
  v.transform((text) => BigInt(text)),
)

/** Bytes that are no message of the expected type, or one that makes no sense. */
export class MalformedMessageError extends Error {
  override readonly name = 'MalformedMessageError'
}

/** How messages of one type are written. Fields are named as in the table; those of 64 bits are {@link Wire64}. */
export function messageEncoder(name: MessageName): (message: object) => Buffer {
  const type = root.lookupType(name)
  return (message) => {
    const bytes = type.encode(message).finish()
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }
}

/** How messages of one type are read: into what the schema makes of them. Throws {@link MalformedMessageError}. */
export function messageDecoder<Schema extends v.GenericSchema>(
  name: MessageName,
  schema: Schema,
): (bytes: Uint8Array) => v.InferOutput<Schema> {
  const type = root.lookupType(name)
  return (bytes) => {
    const result = v.safeParse(schema, rawMessage(type, bytes))
    if (result.success) return result.output
    const [issue] = result.issues
    throw new MalformedMessageError(`Cannot read ${name}: ${v.getDotPath(issue) ?? 'the message'}: ${issue.message}`)
  }
}

function rawMessage(type: protobuf.Type, bytes: Uint8Array): unknown {
  try {
    return type.toObject(type.decode(bytes), { longs: String, arrays: true, objects: true })
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new MalformedMessageError(`Cannot read ${type.fullName.slice(1)}: ${why}`, { cause: error })
  }
}

interface Node {
  fields?: Record<string, object>
  nested?: Record<string, Node>
}

/** The table as the library wants it: messages inside the namespaces and messages that their names say. */
function descriptor(table: Readonly<Record<string, MessageRow>>): Node {
  const top: Node = {}
  for (const [name, row] of Object.entries(table)) {
    let node = top
    for (const part of name.split('.')) {
      node.nested ??= {}
      node = node.nested[part] ??= {}
    }
    node.fields = Object.fromEntries(Object.entries(row).map(([field, values]) => [field, fieldDescriptor(values)]))
  }
  return top
}

function fieldDescriptor([id, type, many]: FieldRow): object {
  if (many === undefined) return { id, type }
  return many === 'repeated' ? { id, type, rule: 'repeated' } : { id, type, keyType: many }
}

const root = protobuf.Root.fromJSON(descriptor(messageTable)).resolveAll()
