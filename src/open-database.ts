import { type EmbeddedPostgres, openEmbeddedPostgres } from './eventstore/embedded-postgres.ts'
import { openGivenPostgres } from './eventstore/given-postgres.ts'
import type { PostgresAddress } from './eventstore/postgres-address.ts'
import { refuseUnfinishedRestore } from './eventstore/restore-marker.ts'
import type { Config } from './config.ts'

/** The database of the log: ours to keep running, or the operator's. Disposing it stops the embedded server. */
export interface Database extends AsyncDisposable {
  readonly address: PostgresAddress
  /** For people: what runs where. */
  readonly description: string
  readonly embedded: EmbeddedPostgres | null
}

/** Starts or adopts the embedded PostgreSQL, or checks the given one. */
export async function openDatabase(
  config: Config,
  log: { info(message: string): void; warn(message: string): void },
): Promise<Database> {
  if (config.database !== null) {
    const given = await openGivenPostgres(config.database)
    return {
      address: given.connection,
      description: `PostgreSQL ${given.serverVersion} (given)`,
      embedded: null,
      async [Symbol.asyncDispose]() {},
    }
  }
  refuseUnfinishedRestore(config.stateDir)
  const embedded = await openEmbeddedPostgres({ stateDir: config.stateDir, socketDir: config.socketDir, log })
  return {
    address: embedded.connection,
    description: `embedded PostgreSQL (process ${embedded.pid}${embedded.adopted ? ', was running' : ''}) in ${config.stateDir}/postgresql`,
    embedded,
    async [Symbol.asyncDispose]() {
      await embedded.stop()
    },
  }
}
