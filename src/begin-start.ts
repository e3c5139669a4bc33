import { mkdirSync } from 'node:fs'
import { hostname } from 'node:os'
import type { Config } from './config.ts'
import { lockStateDirectory } from './daemon-lock.ts'
import { LocalProcesses } from './host/local-processes.ts'
import { beginDatabase, type DatabaseLog, type StartingDatabase } from './open-database.ts'

/** A start whose state directory is taken and whose database is on its way. Disposing it stops the one and gives up the other. */
export interface BegunStart extends AsyncDisposable {
  readonly database: StartingDatabase
}

/**
 * What a start does first, with little code: directories, the lock, the database's process. That gets ready while the rest of the
 * daemon is loaded. Throws where another daemon has the directory, or the database cannot be started.
 */
export async function beginStart(config: Config, log: DatabaseLog): Promise<BegunStart> {
  mkdirSync(config.stateDir, { recursive: true, mode: 0o755 })
  mkdirSync(config.socketDir, { recursive: true, mode: 0o755 })
  await using opened = new AsyncDisposableStack()
  opened.use(lockStateDirectory(config.stateDir, new LocalProcesses(), hostname()))
  const database = opened.use(await beginDatabase(config, log))
  // Disposed of twice it does nothing the second time: the lock may be another daemon's by then.
  const kept = opened.move()
  return { database, [Symbol.asyncDispose]: async () => await kept.disposeAsync() }
}
