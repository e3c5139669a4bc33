import type { AnyFact } from '../events/catalogue.ts'
import { newFact } from '../events/catalogue.ts'
import { Fault } from '../util/fault.ts'

/** Who has a thing: domains by UUID, with how. One exclusive holder, or any number of shared ones. */
export type Holders = Readonly<Record<string, 'exclusive' | 'shared'>>

/** A thing that a domain wants or gives back. */
export interface Claim {
  readonly kind: 'name' | 'image' | 'port'
  readonly subject: string
  readonly domain: string
  readonly mode: 'exclusive' | 'shared'
}

/** Takes a thing; nothing where the domain has it already. Throws `resource_busy` when another domain's claim forbids it. */
export function decideTake(claim: Claim, holders: Holders): readonly AnyFact[] {
  const { kind, subject, domain, mode } = claim
  for (const [holder, held] of Object.entries(holders)) {
    if (holder === domain) continue
    if (mode === 'exclusive' || held === 'exclusive') {
      throw new Fault(
        'resource_busy',
        `Cannot use ${kind} "${subject}": domain ${holder} has it${held === 'shared' ? ' as part of a backing chain' : ''}`,
        { subject },
      )
    }
  }
  if (holders[domain] === mode || holders[domain] === 'exclusive') return []
  return [newFact('ClaimTaken', claim)]
}

/** Gives a thing back; nothing where the domain does not have it. */
export function decideRelease(claim: Omit<Claim, 'mode'>, holders: Holders): readonly AnyFact[] {
  const { kind, subject, domain } = claim
  return holders[domain] === undefined ? [] : [newFact('ClaimReleased', { kind, subject, domain })]
}

/** The holders after a fact. */
export function evolveHolders(holders: Holders, event: AnyFact): Holders {
  switch (event.type) {
    case 'ClaimTaken':
      return { ...holders, [event.data.domain]: event.data.mode }
    case 'ClaimReleased': {
      const { [event.data.domain]: _released, ...others } = holders
      return others
    }
    default:
      return holders
  }
}
