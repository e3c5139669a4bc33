import { categoryOf } from '../events/stream-names.ts'
import type { LogFindings } from './log-finding.ts'
import { fieldsOf, type LogSource, type LogTable } from './log-tables.ts'
import { streamPart, typePart } from './leaf-writer.ts'
import { placeRows } from './numbered-rows.ts'

/** An event type as the log names it. `part`: as a leaf has it. */
export interface TypeEntry {
  readonly id: bigint
  name: Buffer
  schema: number
  part: Buffer
  label: string
}

/** A stream as the log names it, and how far its events have been read. `part`: as a leaf has it. */
export interface StreamEntry {
  readonly id: bigint
  name: Buffer
  part: Buffer
  categoryId: number
  readonly firstPosition: number
  nextRevision: number
}

interface CategoryEntry {
  readonly id: bigint
  readonly name: string
}

/** The names of streams, event types and categories, read as they are: their numbers are checked here, their texts by the leaves. */
export class NameTables {
  readonly types: readonly (TypeEntry | null)[]
  readonly streams: readonly (StreamEntry | null)[]
  readonly #categories: readonly (CategoryEntry | null)[]
  #typesSeen = 0
  #streamsSeen = 0

  private constructor(tables: {
    readonly types: readonly (TypeEntry | null)[]
    readonly streams: readonly (StreamEntry | null)[]
    readonly categories: readonly (CategoryEntry | null)[]
  }) {
    this.types = tables.types
    this.streams = tables.streams
    this.#categories = tables.categories
  }

  static async load(source: LogSource, findings: LogFindings): Promise<NameTables> {
    const read = { source, findings }
    return new NameTables({
      categories: await loadTable(read, {
        table: 'category',
        idColumn: 'category_id',
        parse: ([id, name]) => ({ id: int4(id), name: textOf(name) }),
        label: ({ name }) => name,
        isBefore: () => true,
      }),
      types: await loadTable(read, {
        table: 'event_type',
        idColumn: 'type_id',
        parse: ([id, name, schema]) => newType(int4(id), { name: bytesOf(name), schema: Number(int4(schema)) }),
        label: ({ name, schema }) => `${name.toString()} ${schema}`,
        isBefore: () => true,
      }),
      streams: await loadTable(read, {
        table: 'stream',
        idColumn: 'stream_id',
        parse: ([id, name, category, first]) => ({
          id: int8(id),
          name: Buffer.from(bytesOf(name)),
          part: streamPart(bytesOf(name)),
          categoryId: Number(int4(category)),
          firstPosition: Number(int8(first)),
          nextRevision: 0,
        }),
        label: ({ name }) => name.toString(),
        isBefore: (a, b) => a.firstPosition < b.firstPosition,
      }),
    })
  }

  /** Goes on from events that were not read: streams and types that they have begun are known, their last revisions not. */
  skipTo(position: number): void {
    for (const stream of this.streams) {
      if (stream !== null && stream.firstPosition < position) {
        stream.nextRevision = -1
        this.#streamsSeen += 1
      }
    }
    this.#typesSeen = -1
  }

  /** Notes that a stream has its first event; whether it is the turn of its number. */
  beginStream(id: number): boolean {
    this.#streamsSeen += 1
    return id === this.#streamsSeen - 1
  }

  /** Notes that a type is used; whether its number is at most the next one. */
  useType(id: number): boolean {
    if (this.#typesSeen === -1) return true
    if (id === this.#typesSeen) this.#typesSeen += 1
    return id < this.#typesSeen
  }

  /** Checks, once the names of the streams are known to be right, which categories they belong to, and that no row is without an event. */
  finish(findings: LogFindings): void {
    const wrong = new Map<number, StreamEntry[]>()
    const used = new Set<number>()
    for (const stream of this.streams) {
      if (stream === null) continue
      used.add(stream.categoryId)
      if (this.#categories[stream.categoryId]?.name !== categoryOf(stream.name.toString())) {
        wrong.set(stream.categoryId, [...(wrong.get(stream.categoryId) ?? []), stream])
      }
      if (stream.nextRevision === 0) {
        findings.add({
          table: 'stream',
          key: String(stream.id),
          columns: ['stream_id'],
          position: null,
          text: `stream ${stream.id} ("${stream.name.toString()}") has no event`,
        })
      }
    }
    for (const [categoryId, streams] of wrong) this.#reportCategory(categoryId, { streams, findings })
    for (const category of this.#categories) {
      if (category === null || used.has(Number(category.id))) continue
      const text = `category ${category.id} ("${category.name}") has no stream`
      findings.add({ table: 'category', key: String(category.id), columns: ['category_id'], position: null, text })
    }
    if (this.#typesSeen === -1) return
    for (const type of this.types.slice(this.#typesSeen)) {
      if (type === null) continue
      const text = `event type ${type.id} ("${type.name.toString()}" ${type.schema}) has no event`
      findings.add({ table: 'event_type', key: String(type.id), columns: ['type_id'], position: null, text })
    }
  }

  /** A category whose streams all belong elsewhere has another name than it had; else it is the streams that were moved. */
  #reportCategory(
    categoryId: number,
    { streams, findings }: { readonly streams: readonly StreamEntry[]; readonly findings: LogFindings },
  ): void {
    const names = new Set(this.#categories.flatMap((category) => (category === null ? [] : [category.name])))
    for (const stream of streams) {
      const name = stream.name.toString()
      if (!names.has(categoryOf(name))) {
        const text = `category ${categoryId} is named "${this.#categories[categoryId]?.name ?? ''}", its stream "${name}" is of "${categoryOf(name)}"`
        findings.add({ table: 'category', key: String(categoryId), columns: ['name'], position: null, text })
        return
      }
      const text = `stream ${stream.id} ("${name}") has the category ${categoryId}`
      findings.add({ table: 'stream', key: String(stream.id), columns: ['category_id'], position: null, text })
    }
  }
}

interface Loading<Row extends { readonly id: bigint }> {
  readonly table: LogTable
  readonly idColumn: string
  readonly parse: (fields: readonly (Buffer | null)[]) => Row
  readonly label: (row: Row) => string
  readonly isBefore: (a: Row, b: Row) => boolean
}

async function loadTable<Row extends { readonly id: bigint }>(
  { source, findings }: { readonly source: LogSource; readonly findings: LogFindings },
  { table, idColumn, parse, label, isBefore }: Loading<Row>,
): Promise<readonly (Row | null)[]> {
  const given: Row[] = []
  const columns = columnCounts[table] ?? 0
  for await (const page of source.rows(table) ?? []) for (const row of page) given.push(parse(fieldsOf(row, columns)))
  const { rows, misnumbered, missing } = placeRows(given, isBefore)
  for (const { row, instead } of misnumbered) {
    const why = instead === null ? 'that number is not its own' : `it should have number ${instead}, which no row has`
    const text = `${table} ${row.id} ("${label(row)}"): ${why}`
    findings.add({ table, key: String(row.id), columns: [idColumn], position: null, text })
  }
  for (const id of missing) {
    const text = `${table} ${id} is missing`
    findings.add({ table, key: String(id), columns: [idColumn], position: null, text })
  }
  return rows
}

const columnCounts: Partial<Record<LogTable, number>> = { category: 2, event_type: 3, stream: 4 }

/** An event type with the bytes that a leaf has of it. */
export function newType(id: bigint, { name, schema }: { readonly name: Buffer; readonly schema: number }): TypeEntry {
  return { id, name: Buffer.from(name), schema, part: typePart(name, schema), label: name.toString() }
}

function bytesOf(field: Buffer | null | undefined): Buffer {
  if (field === null || field === undefined) throw new RangeError('a column is null')
  return field
}

function textOf(field: Buffer | null | undefined): string {
  return bytesOf(field).toString()
}

function int8(field: Buffer | null | undefined): bigint {
  return bytesOf(field).readBigInt64BE(0)
}

function int4(field: Buffer | null | undefined): bigint {
  return BigInt(bytesOf(field).readInt32BE(0))
}
