import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import type { LoggedLog } from './history.ts'
import type { TargetName } from './process-options.ts'
import { readOwnLog } from './read-log.ts'

/** Reads what a store has recorded, from its tables. */
export async function readTarget(target: TargetName, address: PostgresAddress): Promise<LoggedLog> {
  switch (target) {
    case 'ours':
      return readOwnLog(address)
    case 'emmett':
    case 'message-db':
      throw new Error(`Cannot read "${target}": there is no adapter`)
  }
}
