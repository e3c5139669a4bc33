import { alternatives } from './closest-names.ts'
import { CliError } from './cli-error.ts'
import type { History } from './history.ts'

/** A domain as the log knows it, gone ones included. */
export interface KnownDomain {
  readonly uuid: string
  readonly name: string
  /** First and last position at which it had this name; the last is null while it has it. */
  readonly fromPosition: bigint
  readonly toPosition: bigint | null
}

const mostNames = 100_000

/** Every name that every domain ever had, in the order in which they got them. */
export async function knownDomains(history: History): Promise<readonly KnownDomain[]> {
  const rows = await history.rows<{ uuid: string; name: string; first: bigint; last: bigint | null }>(
    `select domain_uuid as uuid, name, min(from_position) as first,
        case when bool_or(to_position is null) then null else max(to_position) end as last
      from (select domain_uuid, name, from_position, to_position from domain_definitions
        union all select domain_uuid, name, from_position, to_position from domain_states) as known
      group by domain_uuid, name order by first limit $1::int4`,
    [mostNames],
  )
  return rows.map(({ uuid, name, first, last }) => ({ uuid, name, fromPosition: first, toPosition: last }))
}

/**
 * The domain that a name or UUID meant at a position: the one that had the name then, else the one that had it last before,
 * else the one that got it first afterwards. Throws {@link CliError} that offers names.
 */
export async function findDomain(
  history: History,
  { wanted, position }: { readonly wanted: string; readonly position: bigint },
): Promise<KnownDomain> {
  const domains = await knownDomains(history)
  const found = chooseDomain(domains, { wanted, position })
  if (found !== null) return found
  const names = [...new Set(domains.map((domain) => domain.name))]
  const offer = domains.length === 0 ? '; no domain was ever defined' : alternatives(wanted, names)
  throw new CliError(`Cannot find domain "${wanted}": no domain ever had this name or UUID${offer}`)
}

/** The rule of {@link findDomain} over what is known. */
export function chooseDomain(
  domains: readonly KnownDomain[],
  { wanted, position }: { readonly wanted: string; readonly position: bigint },
): KnownDomain | null {
  const matching = domains.filter((domain) => domain.name === wanted || domain.uuid === wanted.toLowerCase())
  const before = matching.filter((domain) => domain.fromPosition <= position)
  const then = before.filter((domain) => domain.toPosition === null || domain.toPosition > position)
  return then.at(-1) ?? before.toSorted((a, b) => compare(a.toPosition, b.toPosition)).at(-1) ?? matching[0] ?? null
}

/** Latest names by UUID, for lines that speak of domains. */
export function namesByUuid(domains: readonly KnownDomain[]): ReadonlyMap<string, string> {
  return new Map(domains.map((domain) => [domain.uuid, domain.name]))
}

function compare(a: bigint | null, b: bigint | null): number {
  if (a === b) return 0
  if (a === null) return 1
  if (b === null) return -1
  return a < b ? -1 : 1
}
