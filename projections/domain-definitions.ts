import { decodeMetadata } from '../src/events/metadata.ts'
import { projection } from '../src/readmodel/projection.ts'
import { remove, table, upsert } from '../src/readmodel/table.ts'
import { type DomainFact, uuidOf } from './domain-fact.ts'

/** What the next start of a domain uses. */
export interface DomainDefinitionRow {
  readonly domain_uuid: string
  readonly name: string
  readonly definition_sha256: string
  readonly submitted_sha256: string
  readonly caps_id: string
  readonly emulator: string
  readonly autostart: boolean
  readonly defined_by: string
  readonly defined_uid: number
  readonly reason: string | null
}

/** Definitions by UUID; `by_name` finds the one domain of a name. */
export const domainDefinitionsTable = table<DomainDefinitionRow>()('domain_definitions', ['domain_uuid'], {
  by_name: (row) => row.name,
})

/** Read model of definitions. */
export const domainDefinitions = projection<DomainFact>()({
  name: 'domain_definitions',
  version: 1,
  live: true,
  tables: { definitions: domainDefinitionsTable },
  on: {
    DomainDefined: (event, { definitions }, recorded) => {
      const { actor, reason } = decodeMetadata(recorded.meta)
      return [
        upsert(domainDefinitionsTable, {
          domain_uuid: event.data.uuid,
          name: event.data.name,
          definition_sha256: event.data.definitionSha256,
          submitted_sha256: event.data.submittedSha256,
          caps_id: event.data.capsId,
          emulator: event.data.emulator.binary,
          autostart: definitions.get({ domain_uuid: event.data.uuid })?.autostart ?? false,
          defined_by: actor.program,
          defined_uid: actor.uid,
          reason,
        }),
      ]
    },
    DomainDefinitionFollowed: (event, { definitions }, recorded) => {
      const row = definitions.get({ domain_uuid: uuidOf(recorded.stream) })
      return row === undefined
        ? []
        : [upsert(domainDefinitionsTable, { ...row, definition_sha256: event.data.definitionSha256 })]
    },
    DomainAutostartChanged: (event, { definitions }, recorded) => {
      const row = definitions.get({ domain_uuid: uuidOf(recorded.stream) })
      return row === undefined ? [] : [upsert(domainDefinitionsTable, { ...row, autostart: event.data.autostart })]
    },
    DomainUndefined: (_event, _rows, recorded) => [
      remove(domainDefinitionsTable, { domain_uuid: uuidOf(recorded.stream) }),
    ],
  },
})
