import { categoryOf } from '../events/stream-names.ts'
import type { Batch } from './batch.ts'
import type { LogNames } from './log-names.ts'
import type { RecordedEvent } from './recorded-event.ts'
import type { BlockNumbers } from './skip-blocks.ts'
import type { StagedStream, StagedType } from './staged-names.ts'

/** A category that the log has not had before. */
export interface NewCategory {
  readonly name: string
  readonly categoryId: number
}

/** Gives numbers to the new names of a batch, the next ones there are, and knows those of all its events. */
export class CommitNumbers implements BlockNumbers {
  readonly newStreams: readonly StagedStream[]
  readonly newTypes: readonly StagedType[]
  readonly newCategories: NewCategory[] = []
  readonly #batch: Batch
  readonly #streams: readonly StagedStream[]
  readonly #types: readonly StagedType[]
  readonly #categories = new Map<string, number>()

  constructor(batch: Batch) {
    this.#batch = batch
    this.#streams = batch.streams
    this.#types = batch.types
    this.newStreams = this.#streams.filter(({ head }) => head === null)
    this.newTypes = this.#types.filter(({ isNew }) => isNew)
    for (const [at, stream] of this.newStreams.entries()) {
      stream.streamId = batch.names.nextStreamId + BigInt(at)
      stream.categoryId = this.#numberCategory(categoryOf(stream.name))
    }
    for (const [at, type] of this.newTypes.entries()) type.typeId = batch.names.nextTypeId + at
  }

  typeIdOf(event: RecordedEvent): number {
    return this.#batch.eventTypes[this.#indexOf(event)]?.typeId ?? -1
  }

  categoryIdOf(event: RecordedEvent): number {
    return this.#batch.eventStreams[this.#indexOf(event)]?.categoryId ?? -1
  }

  get typeIds(): Iterable<number> {
    return this.#types.map(({ typeId }) => typeId)
  }

  get categoryIds(): Iterable<number> {
    return new Set(this.#streams.map(({ categoryId }) => categoryId))
  }

  /** Tells the writer's memory what is in the log now. */
  remember(names: LogNames): void {
    names.nextStreamId += BigInt(this.newStreams.length)
    names.nextTypeId += this.newTypes.length
    names.nextCategoryId += this.newCategories.length
    for (const { type, schema, typeId } of this.newTypes) names.setTypeId(type, { schema, typeId })
    for (const { name, categoryId } of this.newCategories) names.setCategoryId(name, categoryId)
    for (const { name, head, streamId, categoryId, revision } of this.#streams) {
      if (revision === null) continue
      if (head === null) names.setHead(name, { streamId, categoryId, revision })
      else head.revision = revision
    }
  }

  #indexOf({ position }: RecordedEvent): number {
    return Number(position - this.#batch.firstPosition)
  }

  #numberCategory(name: string): number {
    const { names } = this.#batch
    const given = this.#categories.get(name) ?? this.#batch.categoryId(name)
    if (given !== null) return given
    const categoryId = names.nextCategoryId + this.newCategories.length
    this.newCategories.push({ name, categoryId })
    this.#categories.set(name, categoryId)
    return categoryId
  }
}
