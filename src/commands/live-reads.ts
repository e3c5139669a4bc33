import type { OpenIntentRow, openIntentsTable } from '../../projections/open-intents.ts'
import type { BlockJobRow, blockJobsTable } from '../../projections/block-jobs.ts'
import { chainsOf, type diskLayersTable } from '../../projections/backing-chains.ts'
import type { ClaimRow, claimsTable } from '../../projections/claims.ts'
import type { domainDefinitionsTable } from '../../projections/domain-definitions.ts'
import type { DomainStateRow, domainStatesTable } from '../../projections/domain-states.ts'
import type { EmulatorRow, emulatorsTable } from '../../projections/emulators.ts'
import type { SnapshotDiskRow, SnapshotRow, snapshotDisksTable, snapshotsTable } from '../../projections/snapshots.ts'
import type { Chains } from '../model/chain.ts'
import type { RowsOf } from '../readmodel/table.ts'
import type { DomainView, Reads } from './reads.ts'

/** The current rows that the daemon serves from. */
export interface LiveRows {
  readonly definitions: RowsOf<typeof domainDefinitionsTable>
  readonly states: RowsOf<typeof domainStatesTable>
  readonly layers: RowsOf<typeof diskLayersTable>
  readonly jobs: RowsOf<typeof blockJobsTable>
  readonly snapshots: RowsOf<typeof snapshotsTable>
  readonly snapshotDisks: RowsOf<typeof snapshotDisksTable>
  readonly emulators: RowsOf<typeof emulatorsTable>
  readonly claims: RowsOf<typeof claimsTable>
  readonly intents: RowsOf<typeof openIntentsTable>
}

/** Reads over current rows; the same rows loaded for another moment answer for that moment. */
export class LiveReads implements Reads {
  readonly #rows: LiveRows
  #lastDomainId = 0

  constructor(rows: LiveRows) {
    this.#rows = rows
  }

  domains(): readonly DomainView[] {
    const defined = [...this.#rows.definitions.all()].map((row) => this.#view(row.domain_uuid))
    const transient = [...this.#rows.states.all()].flatMap((row) =>
      row.domain_id > 0 && this.#rows.definitions.get(row) === undefined ? [this.#view(row.domain_uuid)] : [],
    )
    return [...defined, ...transient].flatMap((view) => view ?? [])
  }

  byUuid(uuid: string): DomainView | null {
    return this.#view(uuid)
  }

  byName(name: string): DomainView | null {
    const row = this.#rows.definitions.by('by_name', name)[0]
    if (row !== undefined) return this.#view(row.domain_uuid)
    const holder = this.#rows.claims.by('by_subject', `name/${name}`)[0]
    return holder === undefined ? null : this.#view(holder.domain_uuid)
  }

  byId(id: number): DomainView | null {
    const row = this.#rows.states.by('by_id', String(id))[0]
    return row === undefined ? null : this.#view(row.domain_uuid)
  }

  chains(uuid: string): Chains {
    return chainsOf(this.#rows.layers.by('by_domain', uuid))
  }

  /** What tells the chains of a domain from those before or after a change of them. */
  layerKeys(uuid: string): readonly string[] {
    return this.#rows.layers.by('by_domain', uuid).map((row) => `${row.disk}/${row.ordinal}/${row.layer}/${row.path}`)
  }

  jobs(uuid: string): readonly BlockJobRow[] {
    return this.#rows.jobs.by('by_domain', uuid)
  }

  snapshots(uuid: string): readonly SnapshotRow[] {
    return this.#rows.snapshots.by('by_domain', uuid)
  }

  snapshotDisks(uuid: string, name: string): readonly SnapshotDiskRow[] {
    return this.#rows.snapshotDisks.by('by_snapshot', `${uuid}/${name}`).toSorted((a, b) => a.ordinal - b.ordinal)
  }

  /** Capability cache, one row per emulator that was ever asked. */
  emulators(): readonly EmulatorRow[] {
    return [...this.#rows.emulators.all()]
  }

  emulator(binary: string): EmulatorRow | undefined {
    return this.#rows.emulators.get({ binary_path: binary })
  }

  /** Runs that have not ended. */
  running(): readonly DomainStateRow[] {
    return [...this.#rows.states.all()].filter((row) => row.domain_id > 0)
  }

  /** Intents without an outcome. */
  openIntents(): readonly OpenIntentRow[] {
    return [...this.#rows.intents.all()]
  }

  /** A number for a new run: above those of all runs that this daemon knows or gave out. */
  nextDomainId(): number {
    for (const run of this.running()) this.#lastDomainId = Math.max(this.#lastDomainId, run.domain_id)
    this.#lastDomainId += 1
    return this.#lastDomainId
  }

  claimsOf(uuid: string): readonly ClaimRow[] {
    return this.#rows.claims.by('by_domain', uuid)
  }

  holdersOf(kind: ClaimRow['kind'], subject: string): readonly ClaimRow[] {
    return this.#rows.claims.by('by_subject', `${kind}/${subject}`)
  }

  #view(uuid: string): DomainView | null {
    const definition = this.#rows.definitions.get({ domain_uuid: uuid }) ?? null
    const run = this.#rows.states.get({ domain_uuid: uuid }) ?? null
    const name = definition?.name ?? run?.name
    if (name === undefined) return null
    const id = run?.domain_id ?? -1
    if (definition === null && id === -1) return null
    return { uuid, name, id, definition, run, active: id !== -1 }
  }
}
