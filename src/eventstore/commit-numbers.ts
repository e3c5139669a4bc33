import { categoryOf } from '../events/stream-names.ts'
import type { Batch } from './batch.ts'
import type { EventNumbers } from './event-statement.ts'
import { type LogNames, typeKey } from './log-names.ts'
import type { RecordedEvent } from './recorded-event.ts'
import type { BlockNumbers } from './skip-blocks.ts'

/** A stream that begins with this commit. */
export interface NewStream {
  readonly name: string
  readonly streamId: bigint
  readonly categoryId: number
  readonly firstPosition: bigint
}

/** A type that the log has not had before. */
export interface NewType {
  readonly name: string
  readonly schema: number
  readonly typeId: number
}

/** A category that the log has not had before. */
export interface NewCategory {
  readonly name: string
  readonly categoryId: number
}

/** The numbers of all names in a batch: those the log has, and the next ones for those it has not. */
export class CommitNumbers implements EventNumbers, BlockNumbers {
  readonly newStreams: NewStream[] = []
  readonly newTypes: NewType[] = []
  readonly newCategories: NewCategory[] = []
  readonly #batch: Batch
  readonly #streams = new Map<string, bigint>()
  readonly #types = new Map<string, number>()
  readonly #categories = new Map<string, number>()

  constructor(batch: Batch) {
    this.#batch = batch
    for (const event of batch.events) {
      this.#numberType(event)
      this.#numberStream(event)
    }
  }

  streamIdOf({ stream }: RecordedEvent): bigint {
    return known(this.#streams.get(stream), stream)
  }

  typeIdOf({ type, schema }: RecordedEvent): number {
    return known(this.#types.get(typeKey(type, schema)), type)
  }

  categoryIdOf({ stream }: RecordedEvent): number {
    const name = categoryOf(stream)
    return known(this.#categories.get(name), name)
  }

  get typeIds(): Iterable<number> {
    return this.#types.values()
  }

  get categoryIds(): Iterable<number> {
    return this.#categories.values()
  }

  /** Tells the writer's memory what is in the log now. */
  remember(names: LogNames): void {
    names.nextStreamId += BigInt(this.newStreams.length)
    names.nextTypeId += this.newTypes.length
    names.nextCategoryId += this.newCategories.length
    for (const { name, schema, typeId } of this.newTypes) names.setTypeId(typeKey(name, schema), typeId)
    for (const { name, categoryId } of this.newCategories) names.setCategoryId(name, categoryId)
    for (const event of this.#batch.events) {
      names.setHead(event.stream, { streamId: this.streamIdOf(event), revision: event.revision })
    }
  }

  #numberType({ type, schema }: RecordedEvent): void {
    const key = typeKey(type, schema)
    if (this.#types.has(key)) return
    const { typeIds, names } = this.#batch
    const typeId = typeIds.get(key) ?? names.nextTypeId + this.newTypes.length
    if (typeId >= names.nextTypeId) this.newTypes.push({ name: type, schema, typeId })
    this.#types.set(key, typeId)
  }

  #numberStream({ stream, position }: RecordedEvent): void {
    if (this.#streams.has(stream)) return
    const { heads, names } = this.#batch
    const head = heads.get(stream)
    const streamId = head?.streamId ?? names.nextStreamId + BigInt(this.newStreams.length)
    this.#streams.set(stream, streamId)
    const categoryId = this.#numberCategory(categoryOf(stream))
    if (head !== null && head !== undefined) return
    this.newStreams.push({ name: stream, streamId, categoryId, firstPosition: position })
  }

  #numberCategory(name: string): number {
    const { categoryIds, names } = this.#batch
    const given = this.#categories.get(name)
    if (given !== undefined) return given
    const categoryId = categoryIds.get(name) ?? names.nextCategoryId + this.newCategories.length
    if (categoryId >= names.nextCategoryId) this.newCategories.push({ name, categoryId })
    this.#categories.set(name, categoryId)
    return categoryId
  }
}

function known<Value>(value: Value | undefined, name: string): Value {
  if (value === undefined) throw new Error(`Cannot commit: "${name}" has no number`)
  return value
}
