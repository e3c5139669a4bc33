import { knownDifferences } from './known-differences.ts'
import type { Observation } from './observe.ts'

/** A field that two sides show differently; a side without it shows null. */
export interface Difference {
  readonly step: string
  readonly field: string
  readonly ours: string | null
  readonly peer: string | null
  /** Why it is right so; null where nobody has said. */
  readonly reason: string | null
}

/** Compares two tellings of the story field by field; both lists hold the same steps. */
export function compareStories(ours: readonly Observation[], peer: readonly Observation[]): readonly Difference[] {
  const peerByStep = new Map(peer.map((observation) => [observation.step, observation]))
  return ours.flatMap((observation) => {
    const other = peerByStep.get(observation.step)
    if (other === undefined) throw new Error(`Cannot compare: the peer has no step "${observation.step}"`)
    return compareStep(observation, other)
  })
}

function compareStep(ours: Observation, peer: Observation): Difference[] {
  const names = new Set([...Object.keys(ours.fields), ...Object.keys(peer.fields)])
  return [...names].flatMap((field) => {
    const values = { ours: ours.fields[field] ?? null, peer: peer.fields[field] ?? null }
    if (values.ours === values.peer) return []
    const difference = { step: ours.step, field, ...values }
    return [{ ...difference, reason: knownReason(difference) }]
  })
}

function knownReason(difference: Omit<Difference, 'reason'>): string | null {
  const row = knownDifferences.find(
    (known) =>
      (known.step?.test(difference.step) ?? true) &&
      known.field.test(difference.field) &&
      (known.ours === undefined || known.ours.test(difference.ours ?? '')) &&
      (known.peer === undefined || known.peer.test(difference.peer ?? '')),
  )
  return row?.reason ?? null
}
