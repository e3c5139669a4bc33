import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { lockStateDirectory } from '../daemon-lock.ts'
import { type EmbeddedPostgresLog, openEmbeddedPostgres } from '../eventstore/embedded-postgres.ts'
import type { PostgresAddress } from '../eventstore/postgres-address.ts'
import { refuseUnfinishedRestore } from '../eventstore/restore-marker.ts'
import { LocalProcesses } from '../host/local-processes.ts'
import { CliError } from './cli-error.ts'
import { isRunning, readDaemonFile } from './daemon-file.ts'
import type { Invocation } from './invocation.ts'

/** The database of a log, for as long as it is needed. */
export interface LogDatabase extends AsyncDisposable {
  readonly address: PostgresAddress
}

/** What the embedded server says goes to standard error; only what matters. */
export const quietLog: EmbeddedPostgresLog = {
  info: () => undefined,
  warn: (message) => void process.stderr.write(`${message}\n`),
}

/**
 * The database of `--database`, or that of the running daemon, or where none runs the embedded one of the state directory, started for
 * this purpose and stopped afterwards; no daemon can start meanwhile. Throws {@link CliError}.
 */
export async function openLogDatabase({ database, socketDir, stateDir }: Invocation['config']): Promise<LogDatabase> {
  const given = async (address: PostgresAddress): Promise<LogDatabase> => ({
    address,
    async [Symbol.asyncDispose]() {},
  })
  if (database !== null) return await given({ connectionString: database })
  const daemon = readDaemonFile(socketDir)
  const hasDatabase = existsSync(join(stateDir, 'postgresql', 'data'))
  if (daemon !== null && isRunning(daemon)) {
    if (daemon.stateDir === stateDir || !hasDatabase) return await given(daemon.database)
    throw new CliError(
      `Cannot tell which log is meant: the daemon of socket directory "${socketDir}" has that of "${daemon.stateDir}", and "${stateDir}" has one too; name --state-dir and --socket-dir of the same daemon`,
    )
  }
  if (!hasDatabase) {
    throw new CliError(
      `Cannot find a log: no daemon runs with the socket directory "${socketDir}", and "${stateDir}" has no database; name them with --socket-dir or --state-dir, or give --database postgres://…`,
    )
  }
  await using opened = new AsyncDisposableStack()
  opened.use(lockStateDirectory(stateDir, new LocalProcesses(), hostname()))
  refuseUnfinishedRestore(stateDir)
  const { connection } = opened.use(await openEmbeddedPostgres({ stateDir, socketDir, log: quietLog }))
  const kept = opened.move()
  return { address: connection, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}
