import type pg from 'pg'
import { BlobReads } from './blob-reads.ts'
import { openPool } from './connection-pool.ts'
import { type BlobReader, defaultLimits } from './event-store-options.ts'
import { leafFormat } from './event-leaf.ts'
import { LogFeedClient } from './log-feed-client.ts'
import { readHead } from './log-genesis.ts'
import type { LogReader, ReadAllOptions, ReadStreamOptions } from './log-reader.ts'
import { LogReads } from './log-reads.ts'
import type { PostgresAddress } from './postgres-address.ts'
import { clientConfig } from './postgres-client.ts'
import type { LogHead, RecordedEvent } from './recorded-event.ts'
import type { Delivery, SubscribeOptions, SubscribeStreamOptions } from './subscription.ts'

/** How to open the log for reading beside its writer. */
export interface LogReaderOptions {
  readonly address: PostgresAddress
  /** Path of the writer's feed: with it events arrive within a millisecond or two; without it the table is polled every 5 to 250 ms. */
  readonly feed?: string
}

const poolConnections = 6
// A page takes milliseconds; what takes so long does not come.
const readTimeoutMs = 60_000

/**
 * Opens the log for reading, in any process and as often as wanted: it takes no lock, holds no transaction open and never writes. Throws
 * where the database holds no log, or one of another format or an older schema.
 */
export async function openLogReader(options: LogReaderOptions): Promise<LogReaderHandle> {
  const config = clientConfig(options.address, 'chronovisor log reader')
  const settings = `${config.options ?? ''} -c default_transaction_read_only=on`
  const pool = openPool({ ...config, options: settings, max: poolConnections, query_timeout: readTimeoutMs })
  try {
    await checkLog(pool)
    return new LogReaderHandle(pool, options)
  } catch (error) {
    await pool.end()
    throw error
  }
}

/** The log, open for reading; made by {@link openLogReader}. */
export class LogReaderHandle implements LogReader, AsyncDisposable {
  readonly blobs: BlobReader
  readonly #pool: pg.Pool
  readonly #reads: LogReads
  #closing: Promise<void> | null = null

  constructor(pool: pg.Pool, { feed }: Pick<LogReaderOptions, 'feed'>) {
    this.#pool = pool
    this.#reads = new LogReads(pool, feed === undefined ? {} : { hints: new LogFeedClient(feed) })
    this.blobs = new BlobReads(pool, { cachedBytes: defaultLimits.cachedBlobBytes })
  }

  /** The end of the log now. */
  async head(): Promise<LogHead> {
    const client = await this.#pool.connect()
    try {
      return await readHead(client)
    } finally {
      client.release()
    }
  }

  readStream(stream: string, options?: ReadStreamOptions): AsyncIterable<RecordedEvent> {
    return this.#reads.readStream(stream, options)
  }

  readAll(options?: ReadAllOptions): AsyncIterable<RecordedEvent> {
    return this.#reads.readAll(options)
  }

  positionAt(timeUs: bigint): Promise<bigint> {
    return this.#reads.positionAt(timeUs)
  }

  subscribe(options?: SubscribeOptions): AsyncIterable<Delivery> {
    return this.#reads.subscribe(options)
  }

  subscribeStream(stream: string, options?: SubscribeStreamOptions): AsyncIterable<Delivery> {
    return this.#reads.subscribeStream(stream, options)
  }

  /** Ends subscriptions and connections. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    await this.#reads.close()
    await this.#pool.end()
  }
}

async function checkLog(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query<{ log: boolean; current: boolean }>(
    `select to_regclass('log') is not null as log, to_regprocedure('stream_revision_at(bigint, bigint)') is not null as current`,
  )
  if (rows[0]?.log !== true) throw new Error('Cannot read the log: the database holds none')
  if (!rows[0].current) {
    throw new Error('Cannot read the log: its schema is older than this program; open it once as its writer')
  }
  const { rows: logs } = await pool.query<{ format: number }>('select format from log')
  const format = logs[0]?.format
  if (format !== leafFormat) {
    throw new Error(`Cannot read the log: its format is ${format ?? 'not known'}, this program reads ${leafFormat}`)
  }
}
