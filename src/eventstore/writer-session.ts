import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { FencedError, WriterBusyError } from './append-errors.ts'
import type { WriterHolder } from './event-store-options.ts'
import type { PostgresAddress } from './postgres-address.ts'
import { writerConfig } from './postgres-client.ts'
import { messageOf } from './postgres-failure.ts'
import { shortAnswerSocket } from './short-answer-socket.ts'
import { PreparedStatements, sendParts, type StatementParts } from './send-statements.ts'
import { Watchdog } from './watchdog.ts'

/** The session advisory lock of whoever writes the log: "chronovi" as a number. Locks are per database, so one constant serves. */
export const writerLockKey = String(BigInt('0x6368726f6e6f7669'))
const firstBackoffMs = 25
const longestBackoffMs = 1_000
const longestTryMs = 20_000

interface Connection {
  readonly client: pg.Client
  readonly socket: Socket
  readonly prepared: PreparedStatements
  readonly watchdog: Watchdog
  readonly backendPid: number
}

interface WriterRow {
  readonly session: string
  readonly pid: bigint
  readonly started_at_us: bigint
  readonly host: string
}

/** How a session is made: `onLost` hears once of each connection that broke by itself. */
export interface WriterSessionOptions {
  readonly address: PostgresAddress
  readonly holder: WriterHolder
  readonly onLost: (error: Error) => void
}

/**
 * The writer's own connection, and the session advisory lock on the log that lives and dies with it. As long as the lock is held no
 * earlier session of anybody can still have a commit in flight.
 */
export class WriterSession {
  readonly #options: WriterSessionOptions
  readonly #token = randomUUID()
  #connection: Connection | null = null
  #lastBackendPid: number | null = null
  #role: string | null = null

  constructor(options: WriterSessionOptions) {
    this.#options = options
  }

  /** The connection; throws while there is none. */
  get client(): pg.Client {
    return this.#connected.client
  }

  get #connected(): Connection {
    if (this.#connection === null) throw new Error('The connection to PostgreSQL is lost')
    return this.#connection
  }

  get isConnected(): boolean {
    return this.#connection !== null
  }

  /** Connects and takes the lock, waiting up to `lockWaitMs` for a former writer to be gone. Throws {@link WriterBusyError}. */
  async open({ lockWaitMs, signal }: { readonly lockWaitMs: number; readonly signal: AbortSignal }): Promise<void> {
    await this.#connect()
    const deadline = performance.now() + lockWaitMs
    while (!(await this.#tryLock())) {
      if (performance.now() > deadline) throw await this.#busyError()
      await sleep(firstBackoffMs, undefined, { signal })
    }
  }

  /** Names this opener in the log's database, as long as no other was recorded. */
  get token(): string {
    return this.#token
  }

  /** Writes down who holds the log; the lock is held and the schema current. Returns the time up to which former writers gave answers. */
  async recordHolder(): Promise<bigint> {
    const { pid, startedAtUs, host } = this.#options.holder
    const { rows } = await this.client.query<{ as_of_us: bigint | null }>(
      `insert into writer (session, pid, started_at_us, host) values ($1::uuid, $2::int8, $3::int8, $4::text)
        on conflict (one) do update set session = excluded.session, pid = excluded.pid,
          started_at_us = excluded.started_at_us, host = excluded.host
        returning as_of_us`,
      [this.#token, pid, startedAtUs, host],
    )
    return rows[0]?.as_of_us ?? -1n
  }

  /**
   * Connects again and takes the lock back, however long it takes: a former backend of ours that still runs is ended. Throws
   * {@link FencedError} where another process has held the log since.
   */
  async reopen(signal: AbortSignal): Promise<void> {
    for (let backoffMs = firstBackoffMs; ; backoffMs = Math.min(backoffMs * 2, longestBackoffMs)) {
      signal.throwIfAborted()
      const timer = setTimeout(() => this.#connection?.socket.destroy(), longestTryMs)
      try {
        this.drop()
        await this.#connect()
        if (await this.#tryLock()) {
          await this.#checkStillOurs()
          await this.#setRole()
          return
        }
        await this.#checkStillOurs()
        if (this.#lastBackendPid !== null) {
          await this.client.query('select pg_terminate_backend($1::int4)', [this.#lastBackendPid])
        }
      } catch (error) {
        if (error instanceof FencedError) throw error
      } finally {
        clearTimeout(timer)
      }
      await sleep(backoffMs, undefined, { signal })
    }
  }

  /** Works with the rights of another role from now on, also after it has connected again. */
  async changeRole(role: string): Promise<void> {
    this.#role = role
    await this.#setRole()
  }

  async #setRole(): Promise<void> {
    if (this.#role !== null) await this.client.query(`set role "${this.#role}"`)
  }

  /** Commits statements in one transaction; an answer that takes too long ends the connection, which then counts as lost. */
  async commit(parts: StatementParts, { timeoutMs }: { readonly timeoutMs: number }): Promise<void> {
    const connection = this.#connected
    connection.watchdog.begin(timeoutMs)
    try {
      await sendParts(connection.client, parts, connection.prepared)
    } finally {
      connection.watchdog.end()
    }
  }

  /** Forgets the connection, at once. */
  drop(): void {
    const connection = this.#connection
    if (connection === null) return
    this.#connection = null
    this.#lastBackendPid = connection.backendPid
    connection.watchdog.stop()
    connection.socket.destroy()
  }

  /** Ends the connection in order; the server has let go of the lock afterwards. */
  async close(): Promise<void> {
    const connection = this.#connection
    this.#connection = null
    if (connection === null) return
    connection.watchdog.stop()
    const timer = setTimeout(() => connection.socket.destroy(), 2_000)
    await connection.client.query('select pg_advisory_unlock_all()').catch(() => undefined)
    await connection.client.end().catch(() => undefined)
    clearTimeout(timer)
  }

  async #connect(): Promise<void> {
    const socket = shortAnswerSocket()
    const client = new pg.Client({ ...writerConfig(this.#options.address), stream: () => socket })
    let opened = false
    const lost = (error: Error) => {
      if (!opened || this.#connection?.client !== client) return
      this.drop()
      this.#options.onLost(error)
    }
    client.on('error', lost)
    client.on('end', () => lost(new Error('PostgreSQL closed the connection')))
    try {
      await client.connect()
      const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
      const backendPid = rows[0]?.pid ?? 0
      const watchdog = new Watchdog(() => socket.destroy())
      this.#connection = { client, socket, prepared: new PreparedStatements(), watchdog, backendPid }
      opened = true
    } catch (error) {
      socket.destroy()
      throw error
    }
  }

  async #tryLock(): Promise<boolean> {
    const { rows } = await this.client.query<{ locked: boolean }>('select pg_try_advisory_lock($1::int8) as locked', [
      writerLockKey,
    ])
    return rows[0]?.locked === true
  }

  async #checkStillOurs(): Promise<void> {
    const holder = await this.#readHolder()
    if (holder === undefined || holder.session === this.#token) return
    throw new FencedError(`Cannot append: the log was taken over by ${describeHolder(holder)}`)
  }

  async #busyError(): Promise<WriterBusyError> {
    const holder = await this.#readHolder().catch((error: unknown) => messageOf(error))
    const who = typeof holder === 'object' ? describeHolder(holder) : 'another process'
    await this.close()
    return new WriterBusyError(`Cannot open the log: it is held by ${who}`)
  }

  async #readHolder(): Promise<WriterRow | undefined> {
    const { rows } = await this.client.query<{ made: boolean }>("select to_regclass('writer') is not null as made")
    if (rows[0]?.made !== true) return undefined
    return (await this.client.query<WriterRow>('select session, pid, started_at_us, host from writer')).rows[0]
  }
}

function describeHolder(holder: WriterRow): string {
  const started = new Date(Number(holder.started_at_us / 1000n)).toISOString()
  return `process ${holder.pid} on ${holder.host}, started ${started}`
}
