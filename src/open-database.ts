import { beginEmbeddedPostgres, type EmbeddedPostgres } from './eventstore/embedded-postgres.ts'
import type { PostgresAddress } from './eventstore/postgres-address.ts'
import { refuseUnfinishedRestore } from './eventstore/restore-marker.ts'
import type { Config } from './config.ts'

/** The database of the log: ours to keep running, or the operator's. */
export interface Database {
  readonly address: PostgresAddress
  /** For people: what runs where. */
  readonly description: string
  readonly embedded: EmbeddedPostgres | null
}

/** A database on its way. Disposing it stops the embedded server, ready or not. */
export interface StartingDatabase extends AsyncDisposable {
  /** The database once it accepts connections. */
  ready(): Promise<Database>
}

/** Where words about the database go. */
export interface DatabaseLog {
  info(message: string): void
  warn(message: string): void
}

/** Starts or adopts the embedded PostgreSQL, and returns as soon as its process runs; a given one is looked at when it is waited for. */
export async function beginDatabase(config: Config, log: DatabaseLog): Promise<StartingDatabase> {
  const { database: url, stateDir, socketDir } = config
  if (url !== null) return { ready: async () => await givenDatabase(url), async [Symbol.asyncDispose]() {} }
  refuseUnfinishedRestore(stateDir)
  const starting = await beginEmbeddedPostgres({ stateDir, socketDir, log })
  return {
    async ready() {
      const embedded = await starting.ready()
      const { pid, adopted, connection } = embedded
      return {
        address: connection,
        description: `embedded PostgreSQL (process ${pid}${adopted ? ', was running' : ''}) in ${stateDir}/postgresql`,
        embedded,
      }
    },
    [Symbol.asyncDispose]: async () => await starting[Symbol.asyncDispose](),
  }
}

async function givenDatabase(url: string): Promise<Database> {
  // Loaded where it is needed: it brings the client of PostgreSQL, which the start of the embedded one does without.
  const { openGivenPostgres } = await import('./eventstore/given-postgres.ts')
  const { connection, serverVersion } = await openGivenPostgres(url)
  return { address: connection, description: `PostgreSQL ${serverVersion} (given)`, embedded: null }
}
