import type { BlockJobRow } from '../../projections/block-jobs.ts'
import type { DomainDefinitionRow } from '../../projections/domain-definitions.ts'
import type { DomainStateRow } from '../../projections/domain-states.ts'
import type { SnapshotDiskRow, SnapshotRow } from '../../projections/snapshots.ts'
import type { Chains } from '../model/chain.ts'

/** A domain as reads see it: the rows of the live view, nothing copied. */
export interface DomainView {
  readonly uuid: string
  readonly name: string
  /** -1 while shut off. */
  readonly id: number
  /** Null for a transient domain: one whose definition was taken away while it runs. */
  readonly definition: DomainDefinitionRow | null
  /** Null for a domain that never ran. */
  readonly run: DomainStateRow | null
  readonly active: boolean
}

/** Everything that front ends may read without waiting: the live view. No call asks the hypervisor, takes a lock, or waits for the log. */
export interface Reads {
  domains(): readonly DomainView[]
  byUuid(uuid: string): DomainView | null
  byName(name: string): DomainView | null
  byId(id: number): DomainView | null
  chains(uuid: string): Pick<Chains, 'byDisk'>
  /** Jobs that have not ended. */
  jobs(uuid: string): readonly BlockJobRow[]
  snapshots(uuid: string): readonly SnapshotRow[]
  snapshotDisks(uuid: string, name: string): readonly SnapshotDiskRow[]
}

/** Texts that reads print; they come from memory, only for a moment long gone from the log. */
export interface ReadTexts {
  /** Domain XML: the running one, or with `inactive` the one of the next start. */
  domainXml(
    domain: DomainView,
    options: { readonly inactive: boolean; readonly secure: boolean },
  ): string | Promise<string>
  snapshotXml(domain: DomainView, name: string): string | Promise<string>
  /** Host capabilities with the guests of the known emulators; emulators never asked are probed first. */
  hostCapabilitiesXml(): Promise<string>
  /** Domain capabilities of one emulator; probes that one if need be. Null arguments stand for the defaults. */
  domainCapabilitiesXml(wanted: {
    readonly binary: string | null
    readonly arch: string | null
    readonly machine: string | null
    readonly virtType: string | null
  }): Promise<string>
  /** Definition of the next start, parsed: for `domstats`, block info and the like. */
  metadata(
    domain: DomainView,
    wanted: {
      readonly kind: 'description' | 'title' | 'element'
      readonly uri: string | null
      readonly inactive: boolean
    },
  ): string | Promise<string>
}
