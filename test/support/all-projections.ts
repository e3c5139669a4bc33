import { backingChains } from '../../projections/backing-chains.ts'
import { blockJobs } from '../../projections/block-jobs.ts'
import { claims } from '../../projections/claims.ts'
import { domainDefinitions } from '../../projections/domain-definitions.ts'
import { domainStates } from '../../projections/domain-states.ts'
import { emulators } from '../../projections/emulators.ts'
import { openIntents } from '../../projections/open-intents.ts'
import { snapshots } from '../../projections/snapshots.ts'

/** Every projection that the daemon serves from. */
export const allProjections = [
  domainDefinitions,
  domainStates,
  backingChains,
  blockJobs,
  snapshots,
  claims,
  emulators,
  openIntents,
]
