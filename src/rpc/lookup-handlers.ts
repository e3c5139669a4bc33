import type { DomainName } from '../commands/commands.ts'
import type { DomainView } from '../commands/reads.ts'
import type { domainLookupProcedures } from '../protocol/domain-procedures.ts'
import type { DomainRef, SnapshotRef } from '../protocol/wire-types.ts'
import { Fault } from '../util/fault.ts'
import { type Call, refuseUnknownFlags, requireCount } from './call.ts'
import type { Handlers } from './dispatcher.ts'
import { domainFilterFlags, selectDomains } from './domain-filter.ts'

/** A domain as replies name it. */
export function domainRefOf({ name, uuid, id }: DomainView | DomainName): DomainRef {
  return { name, uuid, id }
}

/** A snapshot as replies name it. */
export function snapshotRefOf(domain: DomainView, name: string): SnapshotRef {
  return { name, domain: domainRefOf(domain) }
}

function found(domain: DomainView | null, wanted: string): { readonly domain: DomainRef } {
  if (domain === null) throw new Fault('no_domain', `no domain with matching ${wanted}`)
  return { domain: domainRefOf(domain) }
}

/** Handlers that find and list domains. */
export const lookupHandlers: Handlers<typeof domainLookupProcedures, Call> = {
  domainLookupById: ({ reads }, { id }) => found(reads.byId(id), `id ${id}`),
  domainLookupByName: ({ reads }, { name }) => found(reads.byName(name), `name '${name}'`),
  domainLookupByUuid: ({ reads }, { uuid }) => found(reads.byUuid(uuid), `uuid '${uuid}'`),
  connectNumOfDomains: ({ reads }) => ({ count: active(reads.domains()).length }),
  connectListDomains: ({ reads }, { maxIds }) => ({
    ids: active(reads.domains())
      .slice(0, requireCount(maxIds, 'maxids'))
      .map(({ id }) => id),
  }),
  connectNumOfDefinedDomains: ({ reads }) => ({ count: inactive(reads.domains()).length }),
  connectListDefinedDomains: ({ reads }, { maxNames }) => ({
    names: inactive(reads.domains())
      .slice(0, requireCount(maxNames, 'maxnames'))
      .map(({ name }) => name),
  }),
  connectListAllDomains({ reads }, { needResults, flags }) {
    refuseUnknownFlags(flags, domainFilterFlags, 'CONNECT_LIST_ALL_DOMAINS')
    const domains = selectDomains(reads, flags)
    return { domains: needResults ? domains.map(domainRefOf) : [], count: domains.length }
  },
}

function active(domains: readonly DomainView[]): readonly DomainView[] {
  return domains.filter((domain) => domain.active)
}

function inactive(domains: readonly DomainView[]): readonly DomainView[] {
  return domains.filter((domain) => !domain.active)
}
