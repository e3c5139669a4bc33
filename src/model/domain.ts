import type { AnyFact } from '../events/catalogue.ts'
import { newFact } from '../events/catalogue.ts'
import { Fault } from '../util/fault.ts'
import { type BlockJobs, evolveBlockJobs } from './block-job.ts'
import { type Chains, evolveChains, noChains } from './chain.ts'
import { evolveLifecycle, type Lifecycle, noLifecycle, type Run } from './lifecycle.ts'
import { evolveSnapshots, noSnapshots, type Snapshots } from './snapshots.ts'

/** Everything that the stream of one domain says. */
export interface Domain extends Lifecycle {
  readonly chains: Chains
  readonly jobs: BlockJobs
  readonly snapshots: Snapshots
}

/** A domain of which nothing is recorded. */
export const noDomain: Domain = { ...noLifecycle, chains: noChains, jobs: {}, snapshots: noSnapshots }

/** A domain after one more fact. */
export function evolveDomain(domain: Domain, event: AnyFact): Domain {
  return {
    ...evolveLifecycle(domain, event),
    chains: evolveChains(domain.chains, event),
    jobs: evolveBlockJobs(domain.jobs, event),
    snapshots: evolveSnapshots(domain.snapshots, event),
  }
}

/** A word for where a run is, as error texts say it. */
export function phaseWord(run: Run): string {
  if (run.phase === 'running') return run.paused ? 'paused' : 'running'
  return run.phase === 'off' ? 'shut off' : 'starting'
}

/** Refuses what needs a running domain. The wording is what clients of this interface look for. */
export function requireRunning(domain: Domain): Extract<Run, { phase: 'running' }> {
  if (domain.run.phase === 'running') return domain.run
  throw new Fault('operation_invalid', 'domain is not running')
}

/** Who has a name or a UUID already, as the live view knows it. */
export interface DefineContext {
  readonly uuid: string
  readonly name: string
  /** UUID of the domain that has the name now. */
  readonly nameHolder: string | null
}

/** Refuses a definition whose name or UUID belongs to another domain. */
export function checkDefine(domain: Domain, context: DefineContext): void {
  const { uuid, name, nameHolder } = context
  if (nameHolder !== null && nameHolder !== uuid) {
    throw new Fault('domain_exists', `domain '${name}' already exists with uuid ${nameHolder}`)
  }
  // A transient domain keeps its name until its run ends, so it cannot be defined under another one.
  const own = domain.definition?.name ?? (domain.run.phase === 'off' ? name : domain.run.requested.name)
  if (own !== name) throw new Fault('domain_exists', `domain '${own}' is already defined with uuid ${uuid}`)
}

/**
 * Refuses to forget a definition while snapshots refer to it, unless their records go with it. A running domain goes on
 * without a definition (it is transient from then on) and is gone when its run ends.
 */
export function decideUndefine(domain: Domain, options: { readonly dropSnapshots: boolean }): readonly AnyFact[] {
  if (domain.definition === null) throw new Fault('operation_invalid', 'cannot undefine transient domain')
  const names = Object.keys(domain.snapshots.parents)
  if (names.length > 0 && !options.dropSnapshots && domain.run.phase === 'off') {
    throw new Fault('operation_invalid', `cannot delete inactive domain with ${names.length} snapshots`)
  }
  const { name } = domain.definition
  const gone = newFact('DomainUndefined', { name })
  return domain.run.phase === 'off' ? [gone, newFact('DomainForgotten', { name })] : [gone]
}

/** What follows the end of a run: a domain that has no definition any more is gone with it. */
export function afterRun(domain: Domain): readonly AnyFact[] {
  if (domain.definition !== null || domain.run.phase === 'off') return []
  return [newFact('DomainForgotten', { name: domain.run.requested.name })]
}

/** Refuses a start of a domain that is not shut off. */
export function requireOff(domain: Domain): void {
  if (domain.run.phase !== 'off') throw new Fault('operation_invalid', 'domain is already running')
}
