import type { ClientBase } from 'pg'
import { finished } from 'node:stream/promises'
import copyStreams from 'pg-copy-streams'
import type { TableColumns } from './table-columns.ts'

/** A version of a row as COPY writes it. */
export interface CopiedVersion {
  readonly row: object
  readonly fromPosition: bigint
  readonly fromUs: bigint
  /** Where and when it ended; null for a current one. */
  readonly to: { readonly position: bigint; readonly timeUs: bigint } | null
}

const special = /[\\\n\r\t]/
const escapes: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }

function escaped(text: string): string {
  return special.test(text) ? text.replaceAll(/[\\\n\r\t]/g, (char) => escapes[char] ?? char) : text
}

/** How the values of a column type are written in PostgreSQL's text form of COPY. */
const forms: Readonly<Record<string, (value: unknown) => string>> = {
  text: (value) => escaped(String(value)),
  bigint: String,
  integer: String,
  'double precision': String,
  boolean: (value) => (value === true ? 't' : 'f'),
  bytea: (value) => (value instanceof Uint8Array ? `\\\\x${Buffer.from(value).toString('hex')}` : '\\N'),
  jsonb: (value) => escaped(JSON.stringify(value) ?? 'null'),
}

/** Writes versions of a table's rows in the text form of COPY; the rows have been checked by {@link TableColumns}. */
export class CopyEncoder {
  /** The columns in the order of the lines, for the COPY statement. */
  readonly columnList: string
  readonly #columns: readonly { readonly name: string; readonly form: (value: unknown) => string }[]
  #second = -1n
  #secondText = ''

  constructor({ columns }: TableColumns) {
    this.#columns = columns.map(({ name, type }) => ({ name, form: forms[type] ?? String }))
    const names = [...columns.map(({ name }) => name), 'from_position', 'to_position', 'valid_from', 'valid_to']
    this.columnList = names.map((name) => `"${name}"`).join(', ')
  }

  /** One line. */
  line({ row, fromPosition, fromUs, to }: CopiedVersion): string {
    let line = ''
    for (const { name, form } of this.#columns) {
      const value: unknown = Reflect.get(row, name)
      line += value === null ? '\\N\t' : `${form(value)}\t`
    }
    const end = to === null ? '\\N' : String(to.position)
    return `${line}${fromPosition}\t${end}\t${this.#time(fromUs)}\t${to === null ? '\\N' : this.#time(to.timeUs)}\n`
  }

  #time(timeUs: bigint): string {
    const second = timeUs / 1_000_000n
    if (second !== this.#second) {
      this.#second = second
      this.#secondText = new Date(Number(second) * 1_000).toISOString().slice(0, 19)
    }
    return `${this.#secondText}.${String(timeUs % 1_000_000n).padStart(6, '0')}Z`
  }
}

/** Writes lines into a table. */
export async function copyLines(
  client: ClientBase,
  lines: string,
  { table, columnList }: { readonly table: string; readonly columnList: string },
): Promise<void> {
  const stream = client.query(copyStreams.from(`copy ${table} (${columnList}) from stdin`))
  stream.end(Buffer.from(lines))
  await finished(stream)
}
