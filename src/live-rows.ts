import { diskLayersTable } from '../projections/backing-chains.ts'
import { blockJobsTable } from '../projections/block-jobs.ts'
import { claimsTable } from '../projections/claims.ts'
import { domainDefinitionsTable } from '../projections/domain-definitions.ts'
import { domainStatesTable } from '../projections/domain-states.ts'
import { emulatorsTable } from '../projections/emulators.ts'
import { openIntentsTable } from '../projections/open-intents.ts'
import { snapshotDisksTable, snapshotsTable } from '../projections/snapshots.ts'
import type { LiveRows } from './commands/live-reads.ts'
import type { ReadModels } from './readmodel/read-models.ts'

/** The rows that a daemon serves from. */
export function liveRows({ view }: Pick<ReadModels, 'view'>): LiveRows {
  return {
    definitions: view.rows(domainDefinitionsTable),
    states: view.rows(domainStatesTable),
    layers: view.rows(diskLayersTable),
    jobs: view.rows(blockJobsTable),
    snapshots: view.rows(snapshotsTable),
    snapshotDisks: view.rows(snapshotDisksTable),
    emulators: view.rows(emulatorsTable),
    claims: view.rows(claimsTable),
    intents: view.rows(openIntentsTable),
  }
}
