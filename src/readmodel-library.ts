import type { LogAlarm } from './eventstore/event-store-options.ts'
import type { RecordedEvent } from './eventstore/recorded-event.ts'
import { enlist } from './enlisted-participants.ts'
import type { Participant } from './library-participant.ts'
import type { Projection } from './readmodel/projection.ts'
import { ReadModels as Engine } from './readmodel/read-models.ts'
import type { PastView, View } from './readmodel/view.ts'

export {
  projection,
  type Projection,
  type ProjectionDeclaration,
  type RowsOfTables,
  type StoredRowsOfTables,
  type Tables,
} from './readmodel/projection.ts'
export {
  type AnyTable,
  type IndexValue,
  type JsonValue,
  remove,
  type RowChange,
  type Rows,
  type RowShape,
  type RowsOf,
  type RowValue,
  type StoredRows,
  type StoredRowsOf,
  type Table,
  table,
  upsert,
} from './readmodel/table.ts'
export type { PastView, View } from './readmodel/view.ts'
export type { RecordedEvent } from './eventstore/recorded-event.ts'

/** An event as handlers get it where nothing else is said: its JSON parsed; `data` is null where it was erased. */
export interface JsonEvent<Type extends string = string, Data = unknown> {
  readonly type: Type
  readonly schema: number
  readonly data: Data
}

/** A projection with the SQL that makes its tables: `create table x (…, like temporal_row including comments)` for each. */
export interface ReadModel {
  readonly projection: Projection
  readonly sql: string
}

/** How read models are made. */
export interface ReadModelsOptions {
  readonly readModels: readonly ReadModel[]
  /** Reads a recorded event into what the handlers take, upcasts included; as {@link JsonEvent} unless told. What it throws is the event's fault. */
  readonly decode?: (event: RecordedEvent) => { readonly type: string }
  readonly onAlarm?: (alarm: LogAlarm) => void
  /** Hears how far a rebuild at the start is. */
  readonly onProgress?: (progress: RebuildProgress) => void
  /** Moments of the past whose rows are kept in memory; 8 unless told. */
  readonly cachedMoments?: number
}

/** How far a rebuild is: the last event taken in, and the end of the log. */
export interface RebuildProgress {
  readonly projections: readonly string[]
  readonly position: bigint
  readonly target: bigint
}

/** A moment of the past: the state right after an event, or as of a time, microseconds since 1970. */
export type PastMoment = { readonly position: bigint } | { readonly timeUs: bigint }

/** How far a read model is: the last event that its tables hold, how many and how old those are that they do not, how many streams it has given up. */
export interface ReadModelStatus {
  readonly name: string
  readonly version: number
  readonly state: 'building' | 'behind' | 'live' | 'following'
  readonly position: bigint
  readonly lagEvents: bigint
  readonly lagSeconds: number
  readonly deadLetters: number
}

/** A stream that a read model does not follow any more, from the event on that it could not take. */
export interface DeadLetter {
  readonly projection: string
  readonly stream: string
  readonly position: bigint
  readonly error: string
}

/** How a rebuild differs from what served; `heldMs` is how long appends waited for the switch, null where there was none. */
export interface Rebuilt {
  readonly identical: boolean
  /** Position of the last event that was taken in before the comparison. */
  readonly position: bigint
  readonly tables: readonly { readonly name: string; readonly versions: bigint; readonly differences: bigint }[]
  readonly heldMs: number | null
}

/** Whether a replay of the whole log gives the rows that serve, in tables and in memory. */
export interface ReplayReport {
  readonly identical: boolean
  readonly position: bigint
  readonly tables: readonly { readonly name: string; readonly versions: bigint; readonly differences: bigint }[]
}

/**
 * The read models of a log, for `participants` of `openEventStore` in `chronovisor/eventstore`. Live ones are changed in the transaction of
 * every commit, in tables and in memory: after `append` they show it. Background ones follow in batches. Every row is temporal: what it was
 * at any position of the log can be asked by {@link asOf}, or in SQL by `from_position` and `to_position`.
 *
 * Opening the store rebuilds what has another version than its tables. It throws where the SQL is no good or a table belongs to two.
 */
export class ReadModels implements Participant {
  readonly name = 'readmodel'
  readonly #engine: Engine

  constructor({ readModels, decode = decodeJson, ...rest }: ReadModelsOptions) {
    const sql = new Map(readModels.map((each) => [each.projection, each.sql]))
    this.#engine = new Engine({
      projections: [...sql.keys()],
      decode,
      sqlOf: (projection) => Promise.resolve(sql.get(projection) ?? ''),
      ...rest,
    })
    enlist(this, {
      participant: this.#engine,
      opened: () => this.#engine.follow(),
      closing: async () => await this.#engine.close(),
    })
  }

  /** The present rows of live projections, without waiting. */
  get view(): View {
    return this.#engine.view
  }

  /** The present rows with what the commit under way has changed, for decisions inside `append`. */
  get turnView(): View {
    return this.#engine.turnView
  }

  /** The streams that read models have given up. */
  get deadLetters(): readonly DeadLetter[] {
    return this.#engine.deadLetters
  }

  /**
   * The rows as they were at a moment of the past; background projections only where they are named, and then waited for, `waitMs` at most
   * (5,000 unless told). Throws where the moment has not come yet, where one did not get there in time, or where there are more than
   * 1,000,000 rows.
   */
  asOf(
    moment: PastMoment,
    options: { readonly background?: readonly Projection[]; readonly waitMs?: number } = {},
  ): Promise<PastView> {
    return this.#engine.asOf(moment, options)
  }

  /** Waits until a read model has an event in its tables; `limitMs` is 5,000 unless told, after which it throws. */
  async reach(name: string, position: bigint, { limitMs = 5_000 }: { readonly limitMs?: number } = {}): Promise<void> {
    await this.#engine.projection(name).background?.reach(position, { limitMs })
  }

  /** How far each one is. */
  status(): Promise<readonly ReadModelStatus[]> {
    return this.#engine.status()
  }

  /**
   * Builds a read model anew from position 0 while everything goes on, and compares it with what serves; then puts it in place (`switch`),
   * or drops it (`drop`). A changed projection is rebuilt by itself at the next start: its `version` says so.
   */
  async rebuild(
    name: string,
    options: { readonly then: 'switch' | 'drop'; readonly signal?: AbortSignal },
  ): Promise<Rebuilt> {
    const { comparison, switched } = await this.#engine.rebuild(name, options)
    const { identical, position, tables } = comparison
    return { identical, position, tables, heldMs: switched?.heldMs ?? null }
  }

  /** Replays the whole log beside what serves, and compares every version of every row. Changes nothing. */
  replayCheck({ signal }: { readonly signal?: AbortSignal } = {}): Promise<ReplayReport> {
    return this.#engine.replayCheck(signal === undefined ? {} : { signal })
  }
}

function decodeJson({ type, schema, data, dataHash }: RecordedEvent): JsonEvent {
  return { type, schema, data: dataHash === undefined ? JSON.parse(new TextDecoder().decode(data)) : null }
}
