import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { logFeedPath } from './compose-log-feed.ts'
import type { Config } from './config.ts'
import { packageRoot } from './eventstore/package-files.ts'
import type { PostgresAddress } from './eventstore/postgres-address.ts'
import { groupIdOf } from './host/group-id.ts'
import type { RpcSocket } from './rpc/rpc-server.ts'

/** The sockets that clients connect to: read-write first. */
export function serverSockets(config: Config): readonly RpcSocket[] {
  const gid = config.socketGroup === null ? null : groupIdOf(config.socketGroup)
  return [
    { path: join(config.socketDir, 'libvirt-sock'), readOnly: false, mode: 0o770, ...(gid === null ? {} : { gid }) },
    { path: join(config.socketDir, 'libvirt-sock-ro'), readOnly: true, mode: 0o777 },
  ]
}

/** Leaves word for the command line: which process serves what, and where its log is. A password in a database URL is not written. */
export function writeDaemonFile(daemon: {
  readonly config: Config
  readonly database: PostgresAddress
  readonly driver: 'qemu' | 'test'
  /** Where the EventStoreDB protocol is served, as its clients write it; null = nowhere. */
  readonly grpc: string | null
  /** Where the metrics are served; null = nowhere. */
  readonly metrics: string | null
}): void {
  const { config, driver } = daemon
  const [readWrite, readOnly] = serverSockets(config)
  const uri = driver === 'qemu' ? 'qemu+unix:///system' : 'test+unix:///default'
  const file = join(config.socketDir, 'daemon.json')
  const text = JSON.stringify({
    pid: process.pid,
    startedAt: new Date().toISOString(),
    version: daemonVersion(),
    driver,
    database: daemon.database,
    sockets: { readWrite: readWrite?.path, readOnly: readOnly?.path, logFeed: logFeedPath(config) },
    stateDir: config.stateDir,
    ...(daemon.grpc === null ? {} : { grpc: daemon.grpc }),
    ...(daemon.metrics === null ? {} : { metrics: daemon.metrics }),
    uri: `${uri}?socket=${readWrite?.path ?? ''}`,
  })
  // A given database's URL may hold a password: then only the daemon's user may read the file.
  writeFileSync(`${file}.new`, `${text}\n`, { mode: daemon.database.connectionString === undefined ? 0o644 : 0o600 })
  renameSync(`${file}.new`, file)
}

/** Version of this package. */
export function daemonVersion(): string {
  const found: unknown = JSON.parse(readFileSync(new URL('package.json', packageRoot()), 'utf8'))
  if (typeof found === 'object' && found !== null && 'version' in found && typeof found.version === 'string')
    return found.version
  return 'unknown'
}
