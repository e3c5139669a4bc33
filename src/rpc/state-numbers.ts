import type { DomainView } from '../commands/reads.ts'

/** A state and its reason, as DOMAIN_GET_STATE answers them. */
export interface StateNumbers {
  readonly state: number
  readonly reason: number
}

/** `virDomainState` of the states a domain can have, and its reasons by the words of the live view. Unknown words are 0. */
const states: Readonly<
  Record<string, { readonly number: number; readonly reasons: Readonly<Record<string, number>> }>
> = {
  running: { number: 1, reasons: { booted: 1, unpaused: 5 } },
  paused: { number: 3, reasons: { user: 1, hypervisor: 0, starting: 11 } },
  shutoff: {
    number: 5,
    reasons: { shutdown: 1, destroyed: 2, crashed: 3, failed: 6, host_rebooted: 8, process_gone: 3, daemon: 8 },
  },
  crashed: { number: 6, reasons: { panicked: 1 } },
  // The process exists or is about to, its CPUs stand still: clients have no word of their own for it.
  starting: { number: 3, reasons: { starting: 11 } },
}

const shutOff: StateNumbers = { state: 5, reason: 0 }

/** What a domain does, in the interface's numbers; one that never ran is shut off for no known reason. */
export function stateNumbers(domain: DomainView): StateNumbers {
  const { run } = domain
  if (run === null) return shutOff
  const row = states[run.state]
  if (row === undefined) return { state: 0, reason: 0 }
  return { state: row.number, reason: row.reasons[run.reason] ?? 0 }
}
