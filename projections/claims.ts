import type { ClaimEvent } from '../src/events/claim-events.ts'
import { projection } from '../src/readmodel/projection.ts'
import { remove, table, upsert } from '../src/readmodel/table.ts'

/** A thing that a domain has. */
export interface ClaimRow {
  readonly kind: 'name' | 'image' | 'port'
  readonly subject: string
  readonly domain_uuid: string
  readonly mode: 'exclusive' | 'shared'
}

/** Claims by thing and holder; `by_subject` is keyed by `kind/subject`. */
export const claimsTable = table<ClaimRow>()('claims', ['kind', 'subject', 'domain_uuid'], {
  by_subject: (row) => `${row.kind}/${row.subject}`,
  by_domain: (row) => row.domain_uuid,
})

/** Read model of claims. */
export const claims = projection<ClaimEvent>()({
  name: 'claims',
  version: 1,
  live: true,
  tables: { claims: claimsTable },
  on: {
    ClaimTaken: (event) => [
      upsert(claimsTable, {
        kind: event.data.kind,
        subject: event.data.subject,
        domain_uuid: event.data.domain,
        mode: event.data.mode,
      }),
    ],
    ClaimReleased: (event) => [
      remove(claimsTable, { kind: event.data.kind, subject: event.data.subject, domain_uuid: event.data.domain }),
    ],
  },
})
