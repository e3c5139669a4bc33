import type pg from 'pg'
import { BlobReads } from '../eventstore/blob-reads.ts'
import type { BlobReader } from '../eventstore/event-store-options.ts'
import { LogFeedClient } from '../eventstore/log-feed-client.ts'
import type { LogReader } from '../eventstore/log-reader.ts'
import { openPool } from '../eventstore/connection-pool.ts'
import { LogReads } from '../eventstore/log-reads.ts'
import type { PostgresAddress } from '../eventstore/postgres-address.ts'
import { clientConfig } from '../eventstore/postgres-client.ts'
import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import { CliError } from './cli-error.ts'
import { isRunning, readDaemonFile } from './daemon-file.ts'
import { localTime } from './format-time.ts'
import type { Invocation } from './invocation.ts'
import { type Moment, parseMoment } from './moment.ts'

const connections = 4
const cachedBlobBytes = 16 << 20

/** Where a log is looked for. */
export type LogPlace = Pick<Invocation['config'], 'socketDir' | 'database'>

/** The end of the log: position and time of its last event; position -1 while it has none. */
export interface HistoryHead {
  readonly position: bigint
  readonly timeUs: bigint
}

/** The log and its read models, read-only, beside whoever writes them. */
export class History implements AsyncDisposable {
  readonly address: PostgresAddress
  readonly log: LogReader
  readonly blobs: BlobReader
  /** For the checks that the engine of the read models makes. */
  readonly pool: pg.Pool

  readonly #reads: LogReads

  /** Use {@link openHistory}. `feed` is where the daemon tells of commits. */
  constructor(address: PostgresAddress, { feed }: { readonly feed?: string | undefined } = {}) {
    const config = clientConfig(address, 'chronovisor cli')
    const options = `${config.options ?? ''} -c default_transaction_read_only=on`
    this.address = address
    this.pool = openPool({ ...config, options, max: connections })
    this.#reads = new LogReads(this.pool, feed === undefined ? {} : { hints: new LogFeedClient(feed) })
    this.log = this.#reads
    this.blobs = new BlobReads(this.pool, { cachedBytes: cachedBlobBytes })
  }

  /** Rows of one statement; the caller names the types that its SELECT gives (int8 is bigint, timestamptz text in UTC). */
  async rows<Row extends pg.QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
    const { rows } = await this.pool.query<Row>(text, [...values])
    return rows
  }

  async head(): Promise<HistoryHead> {
    const [row] = await this.rows<{ last_pos: bigint; at_us: bigint }>(
      'select last_pos, at_us from commit order by commit_no desc limit 1',
    )
    return { position: row?.last_pos ?? -1n, timeUs: row?.at_us ?? 0n }
  }

  /** Text of a content-addressed blob. */
  async text(sha256: string): Promise<string> {
    return Buffer.from(await this.blobs.read(sha256)).toString('utf8')
  }

  /** One event; null where the log does not reach so far. */
  async event(position: bigint): Promise<RecordedEvent | null> {
    if (position < 0n) return null
    for await (const event of this.log.readAll({ from: position, maxCount: 1 })) return event
    return null
  }

  /**
   * The position whose state a moment shows: the last event at or before it. Throws {@link CliError} for a moment that has
   * not come, so that an answer given once stays true.
   */
  async positionOf(moment: Moment, nowUs: bigint): Promise<bigint> {
    if (moment.kind === 'time') {
      if (moment.timeUs > nowUs) throw new CliError(`Cannot look at ${localTime(moment.timeUs)}: it has not come yet`)
      return await this.log.positionAt(moment.timeUs)
    }
    const { position } = await this.head()
    if (moment.position > position)
      throw new CliError(`Cannot look at @${moment.position}: the log ends at @${position}`)
    return moment.position
  }

  /** The first position at or after a moment: where reading "since" it begins. */
  async firstSince(moment: Moment): Promise<bigint> {
    return moment.kind === 'position' ? moment.position : (await this.log.positionAt(moment.timeUs - 1n)) + 1n
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reads.close()
    await this.pool.end()
  }
}

/**
 * Opens the log for reading: the database of `--database`, else the one that the running daemon names in its socket
 * directory. Throws {@link CliError} that says where it looked.
 */
export async function openHistory(config: LogPlace): Promise<History> {
  const { address, name, feed } = findDatabase(config)
  const history = new History(address, { feed })
  try {
    await history.rows('select 1 from log limit 1')
    return history
  } catch (error) {
    await history[Symbol.asyncDispose]()
    throw new CliError(whyNotReadable(error, name), { cause: error })
  }
}

/** The position named by an option such as `--as-of`, or the end of the log where it is absent. */
export async function positionOption(
  history: History,
  option: string | undefined,
  { nowUs }: { readonly nowUs: bigint },
): Promise<bigint> {
  if (option === undefined) return (await history.head()).position
  return await history.positionOf(parseMoment(option, nowUs), nowUs)
}

function findDatabase({ database, socketDir }: LogPlace): {
  readonly address: PostgresAddress
  readonly name: string
  readonly feed?: string | undefined
} {
  if (database !== null) return { address: { connectionString: database }, name: 'the database of --database' }
  const daemon = readDaemonFile(socketDir)
  if (daemon === null) {
    throw new CliError(
      `Cannot find a daemon: "${socketDir}" has no daemon.json; start one, name its --socket-dir, or give --database postgres://…`,
    )
  }
  const state = isRunning(daemon)
    ? `of the daemon (process ${daemon.pid})`
    : `that daemon ${daemon.pid}, which ended, has used`
  return { address: daemon.database, name: `the database ${state}`, feed: daemon.sockets.logFeed }
}

function whyNotReadable(error: unknown, name: string): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === '42P01') return `Cannot read the log in ${name}: it holds no event log`
  if (code === '28000') {
    return `Cannot open ${name}: it does not admit this user (${messageOf(error)}); run the command as root or as the user of the daemon`
  }
  const gone = code === 'ENOENT' || code === 'ECONNREFUSED' ? '; it runs while the daemon does' : ''
  return `Cannot open ${name}: ${messageOf(error)}${gone}`
}

function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}
