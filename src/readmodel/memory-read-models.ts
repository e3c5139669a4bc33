import { decodeFact } from '../events/catalogue.ts'
import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import type { Projection } from './projection.ts'
import { type Decode, ProjectionRun } from './projection-run.ts'
import { RowsView, type View } from './view.ts'

/** Projections over events in memory, without a database: for tests of projections and for looking at a few events. */
export class MemoryReadModels {
  readonly view: View
  readonly #run: ProjectionRun

  constructor(projections: readonly Projection[], decode: Decode = decodeRecorded) {
    const ignore = () => undefined
    this.#run = new ProjectionRun({ projections, decode, check: ignore, onQuarantine: ignore })
    this.view = new RowsView((table) => this.#run.overlay(table).base)
  }

  /** Takes the events of one commit; throws what a projection throws, and takes none then. */
  apply(events: readonly RecordedEvent[]): void {
    this.#run.take(events, { kind: 'intent' })
    this.#run.committed()
  }
}

/** Reads a recorded event by the catalogue. */
export function decodeRecorded(event: RecordedEvent): { readonly type: string } {
  return decodeFact(event.type, event)
}
