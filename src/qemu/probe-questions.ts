import { createHash } from 'node:crypto'
import { capabilityFlags } from './capability-flags.ts'
import type { FlagFact } from './flag-fact.ts'
import { flagRules } from './flag-rules.ts'

const facts: readonly FlagFact[] = [...capabilityFlags, ...flagRules].map(({ fact }) => fact)

/** Raised when a probe asks in another way, so that what was asked before counts as asked by another build. */
const interviewEdition = 1

/** QOM types of devices whose properties some flag looks at, each once. */
export const deviceTypes: readonly string[] = unique(
  facts.flatMap((fact) => (fact.kind === 'property' || fact.kind === 'disabledByDefault' ? [fact.type] : [])),
)

const objectTypes = unique(facts.flatMap((fact) => (fact.kind === 'objectProperty' ? [fact.type] : [])))

/** Other QOM types whose properties some flag looks at, those of machines apart. */
export const plainTypes: readonly string[] = objectTypes.filter((type) => !isMachineType(type))

/** QOM types of machines that are named as such. */
export const machineTypes: readonly string[] = objectTypes.filter(isMachineType)

/** Names or aliases of machines whose properties some flag looks at. */
export const machineNames: readonly string[] = unique(
  facts.flatMap((fact) => (fact.kind === 'machineProperty' ? [fact.machine] : [])),
)

/** Identifies what a probe asks and how its answers are judged: another build of the daemon may come to another document. */
export const probeBuild: string = createHash('sha256')
  .update(JSON.stringify([interviewEdition, capabilityFlags, flagRules]))
  .digest('hex')
  .slice(0, 16)

function isMachineType(type: string): boolean {
  return type.endsWith('-machine')
}

function unique(names: readonly string[]): readonly string[] {
  return [...new Set(names)]
}
