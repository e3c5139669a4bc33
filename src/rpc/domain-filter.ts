import type { DomainView, Reads } from '../commands/reads.ts'

/** One question about a domain, and the flag for each answer; flags of one group are alternatives, groups must all hold. */
interface FilterGroup {
  readonly yes: number
  readonly no: number
  readonly holds: (domain: DomainView, reads: Reads) => boolean
}

/** Groups of `virConnectListAllDomainsFlags` with two answers. Managed saves and checkpoints do not exist here yet. */
const groups: readonly FilterGroup[] = [
  { yes: 0x1, no: 0x2, holds: (domain) => domain.active },
  { yes: 0x4, no: 0x8, holds: (domain) => domain.definition !== null },
  { yes: 0x100, no: 0x200, holds: () => false },
  { yes: 0x400, no: 0x800, holds: (domain) => domain.definition?.autostart === true },
  { yes: 0x1000, no: 0x2000, holds: (domain, reads) => reads.snapshots(domain.uuid).length > 0 },
  { yes: 0x4000, no: 0x8000, holds: () => false },
]

/** The group of states has four answers. */
const stateFlags = { running: 0x10, paused: 0x20, shutoff: 0x40, other: 0x80 } as const
const anyState = 0xf0

/** Every flag that selects domains. */
export const domainFilterFlags = 0xffff

/** Domains that a client's list flags select, in the order of the live view. */
export function selectDomains(reads: Reads, flags: number): readonly DomainView[] {
  const asked = groups.filter(({ yes, no }) => (flags & (yes | no)) !== 0)
  const domains = reads.domains()
  if (asked.length === 0 && (flags & anyState) === 0) return domains
  return domains.filter(
    (domain) =>
      asked.every(({ yes, no, holds }) => (flags & (holds(domain, reads) ? yes : no)) !== 0) &&
      ((flags & anyState) === 0 || (flags & stateFlag(domain)) !== 0),
  )
}

function stateFlag({ run }: DomainView): number {
  if (run === null || run.state === 'shutoff') return stateFlags.shutoff
  if (run.state === 'running') return stateFlags.running
  return run.state === 'paused' ? stateFlags.paused : stateFlags.other
}
