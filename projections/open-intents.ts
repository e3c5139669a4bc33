import { decodeMetadata } from '../src/events/metadata.ts'
import type { RecordedEvent } from '../src/readmodel/projection.ts'
import { projection } from '../src/readmodel/projection.ts'
import { remove, type RowChange, type RowsOf, table, upsert } from '../src/readmodel/table.ts'
import { type DomainFact, uuidOf } from './domain-fact.ts'

/** An intent without an outcome. */
export interface OpenIntentRow {
  readonly domain_uuid: string
  readonly intent: string
  readonly command_id: string
  readonly procedure: string
  readonly requested_by: string
  readonly requested_at_us: bigint
}

/** Open intents by domain and type; `by_domain` finds those of a domain. */
export const openIntentsTable = table<OpenIntentRow>()('open_intents', ['domain_uuid', 'intent'], {
  by_domain: (row) => row.domain_uuid,
})

interface IntentTables {
  readonly intents: RowsOf<typeof openIntentsTable>
}

/** Read model of intents without an outcome. Block jobs have a read model of their own. */
export const openIntents = projection<DomainFact>()({
  name: 'open_intents',
  version: 1,
  live: true,
  tables: { intents: openIntentsTable },
  on: {
    DomainStartRequested: opened,
    DomainSuspendRequested: opened,
    DomainResumeRequested: opened,
    DomainResetRequested: opened,
    DomainShutdownRequested: opened,
    DomainDestroyRequested: opened,
    SnapshotRequested: opened,
    DomainStarted: (_event, _rows, recorded) => [closed(recorded, 'DomainStartRequested')],
    DomainSuspended: (event, _rows, recorded) => outcomeOf('DomainSuspendRequested', { event, recorded }),
    DomainResumed: (event, _rows, recorded) => outcomeOf('DomainResumeRequested', { event, recorded }),
    DomainReset: (event, _rows, recorded) => outcomeOf('DomainResetRequested', { event, recorded }),
    DomainPowerButtonPressed: (_event, _rows, recorded) => [closed(recorded, 'DomainShutdownRequested')],
    SnapshotCreated: (_event, _rows, recorded) => [closed(recorded, 'SnapshotRequested')],
    CommandFailed: (event, _rows, recorded) => [closed(recorded, event.data.intent)],
    DomainStartFailed: ended,
    DomainDestroyed: ended,
    DomainShutOff: ended,
    DomainCrashed: ended,
  },
})

function opened(event: DomainFact, _rows: IntentTables, recorded: RecordedEvent): RowChange[] {
  const { commandId, procedure, actor } = decodeMetadata(recorded.meta)
  return [
    upsert(openIntentsTable, {
      domain_uuid: uuidOf(recorded.stream),
      intent: event.type,
      command_id: commandId,
      procedure,
      requested_by: actor.program,
      requested_at_us: recorded.recordedAtUs,
    }),
  ]
}

function closed(recorded: RecordedEvent, intent: string): RowChange {
  return remove(openIntentsTable, { domain_uuid: uuidOf(recorded.stream), intent })
}

/** The same change made by the hypervisor or the guest is no outcome of the request. */
function outcomeOf(
  intent: string,
  by: { readonly event: { readonly data: { readonly cause: string } }; readonly recorded: RecordedEvent },
): RowChange[] {
  return by.event.data.cause === 'request' ? [closed(by.recorded, intent)] : []
}

/** The end of a run ends everything that was asked of it. */
function ended(_event: DomainFact, { intents }: IntentTables, recorded: RecordedEvent): RowChange[] {
  return intents.by('by_domain', uuidOf(recorded.stream)).map((row) => remove(openIntentsTable, row))
}
