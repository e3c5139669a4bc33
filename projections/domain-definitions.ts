import type { DomainFact } from './domain-fact.ts'
import { uuidOf } from './domain-fact.ts'
import { projection } from '../src/readmodel/projection.ts'
import { remove, type Rows, table, upsert } from '../src/readmodel/table.ts'

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
export const domainDefinitions = projection<DomainFact, { readonly definitions: Rows<DomainDefinitionRow> }>({
  name: 'domain_definitions',
  version: 1,
  live: true,
  tables: { definitions: domainDefinitionsTable },
  on: {
    DomainDefined: (event, { definitions }) => [
      upsert(domainDefinitionsTable, {
        domain_uuid: event.data.uuid,
        name: event.data.name,
        definition_sha256: event.data.definitionSha256,
        submitted_sha256: event.data.submittedSha256,
        caps_id: event.data.capsId,
        emulator: event.data.emulator.binary,
        autostart: definitions.get([event.data.uuid])?.autostart ?? false,
        defined_by: event.metadata.actor.program,
        defined_uid: event.metadata.actor.uid,
        reason: event.metadata.reason,
      }),
    ],
    DomainDefinitionFollowed: (event, { definitions }) => {
      const row = definitions.get([uuidOf(event.stream)])
      return row === undefined ? [] : [upsert(domainDefinitionsTable, { ...row, definition_sha256: event.data.definitionSha256 })]
    },
    DomainAutostartChanged: (event, { definitions }) => {
      const row = definitions.get([uuidOf(event.stream)])
      return row === undefined ? [] : [upsert(domainDefinitionsTable, { ...row, autostart: event.data.autostart })]
    },
    DomainUndefined: (event) => [remove(domainDefinitionsTable, [uuidOf(event.stream)])],
  },
})
