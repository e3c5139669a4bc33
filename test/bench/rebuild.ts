import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import { LogReads } from '../../src/eventstore/log-reads.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { clientConfig } from '../../src/eventstore/postgres-client.ts'
import { compareBuild } from '../../src/readmodel/compare-build.ts'
import { buildProjection } from '../../src/readmodel/projection-build.ts'
import type { ReadModels } from '../../src/readmodel/read-models.ts'
import { moved, opened } from '../support/account-events.ts'
import { accountModels, accountsProjection, accountsSql, decodeAccountEvent } from '../support/account-projection.ts'
import { openLog, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

// A live projection rebuilt while it serves: `node test/bench/rebuild.ts [EVENTS]` (1,000,000 unless told), under 200 queries/s and 100
// appends/s. The build runs in a process of its own, as `chronovisor rebuild` runs it; rates are those of that process.

const queriesPerSecond = 200
const appendsPerSecond = 100
const streams = 5_000

/** What one run gives. */
export interface RebuildFigures {
  readonly events: bigint
  readonly eventsPerSecond: number
  readonly buildSeconds: number
  readonly cpuSeconds: number
  readonly queries: number
  readonly failedQueries: number
  readonly slowestQueryMs: number
  readonly appends: number
  readonly failedAppends: number
  /** How long readers and appends waited for the switch at most. */
  readonly lockedMs: number
  readonly heldMs: number
  readonly differences: bigint
}

/** Seeds a log, rebuilds its projection under load, switches. */
export async function measureRebuild(events: number): Promise<RebuildFigures> {
  await using server = await ScratchPostgres.start()
  const address = await server.createDatabase()
  {
    await using seeded = await openLog(address)
    await seed(seeded, events)
  }
  const models = accountModels()
  await using log = await openLog(address, { participants: [models], limits: { queueRequests: 100_000 } })
  await server.run(address.database ?? '', 'analyze')
  using load = new Load(address, { log, models })
  await load.start()
  const built = await buildElsewhere(address)
  const { lockedMs, heldMs } = await models.switchTo('accounts')
  await sleep(1_000)
  const served = await load.end()
  if (!(await models.replayCheck()).identical) throw new Error('The rebuilt read model is not what the log says')
  return { ...built, lockedMs, heldMs, ...served }
}

async function seed(log: EventStore, events: number): Promise<void> {
  const batch = 1_000
  for (let at = 0; at < events; at += batch) {
    const count = Math.min(batch, events - at)
    const writes = Array.from({ length: count }, (_, n) => {
      const number = at + n
      const event =
        number < streams ? opened(`owner-${number % 97}`, { kind: 'x'.repeat(60) }) : moved(BigInt(number % 7))
      return write(`account-${number % streams}`, [event])
    })
    await log.append(writes)
  }
}

/** Queries of the tables and of the rows in memory, and appends, at fixed rates, each begun when it is due. */
class Load implements Disposable {
  readonly #address: PostgresAddress
  readonly #served: { readonly log: EventStore; readonly models: ReadModels }
  readonly #stop = new AbortController()
  readonly #pool: pg.Pool
  readonly #work: Promise<unknown>[] = []
  #queries = 0
  #failedQueries = 0
  #slowestQueryMs = 0
  #appends = 0
  #failedAppends = 0

  constructor(address: PostgresAddress, served: { readonly log: EventStore; readonly models: ReadModels }) {
    this.#address = address
    this.#served = served
    this.#pool = new pg.Pool({ ...this.#address, max: 8 })
  }

  async start(): Promise<void> {
    await this.#pool.query('select 1')
    this.#work.push(this.#every(queriesPerSecond, (at) => this.#query(at)))
    this.#work.push(this.#every(appendsPerSecond, (at) => this.#append(at)))
  }

  async end() {
    this.#stop.abort()
    await Promise.all(this.#work)
    await this.#pool.end()
    return {
      queries: this.#queries,
      failedQueries: this.#failedQueries,
      slowestQueryMs: Math.round(this.#slowestQueryMs),
      appends: this.#appends,
      failedAppends: this.#failedAppends,
    }
  }

  [Symbol.dispose](): void {
    this.#stop.abort()
  }

  async #every(perSecond: number, action: (at: number) => Promise<void>): Promise<void> {
    const startMs = performance.now()
    const running = new Set<Promise<void>>()
    for (let at = 0; !this.#stop.signal.aborted; at += 1) {
      const dueMs = startMs + (at * 1_000) / perSecond
      const waitMs = dueMs - performance.now()
      if (waitMs > 0) await sleep(waitMs)
      const work = action(at).finally(() => running.delete(work))
      running.add(work)
    }
    await Promise.all(running)
  }

  async #query(at: number): Promise<void> {
    const id = `account-${(at * 31) % streams}`
    const queries = [
      { name: 'current', text: 'select * from accounts where id = $1 and to_position is null', values: [id] },
      { text: 'select * from accounts where id = $1 order by from_position desc limit 10', values: [id] },
      { name: 'view', text: 'select id from open_accounts where id = $1', values: [id] },
    ]
    const startMs = performance.now()
    this.#queries += 1
    try {
      const { rowCount } = await this.#pool.query(queries[at % queries.length] ?? queries[0] ?? '')
      if (rowCount === 0) this.#failedQueries += 1
    } catch {
      this.#failedQueries += 1
    }
    this.#slowestQueryMs = Math.max(this.#slowestQueryMs, performance.now() - startMs)
  }

  async #append(at: number): Promise<void> {
    this.#appends += 1
    try {
      await this.#served.log.append([write(`account-${(at * 17) % streams}`, [moved(1n)])])
    } catch {
      this.#failedAppends += 1
    }
  }
}

interface Built {
  readonly events: bigint
  readonly eventsPerSecond: number
  readonly buildSeconds: number
  readonly cpuSeconds: number
  readonly differences: bigint
}

async function buildElsewhere(address: PostgresAddress): Promise<Built> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), '--build', JSON.stringify(address)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const ended = once(child, 'exit')
  const [message] = await once(child, 'message')
  await ended
  const built: Record<keyof Built, number> = JSON.parse(String(message))
  return { ...built, events: BigInt(built.events), differences: BigInt(built.differences) }
}

async function build(address: PostgresAddress): Promise<void> {
  const pool = new pg.Pool({ ...clientConfig(address, 'chronovisor rebuild'), max: 4 })
  const projection = accountsProjection()
  const startMs = performance.now()
  const cpuBefore = process.cpuUsage()
  const { position } = await buildProjection({
    ...{ pool, reader: new LogReads(pool), projection, sql: accountsSql, decode: decodeAccountEvent },
    nowUs: () => BigInt(Date.now()) * 1000n,
  })
  const seconds = (performance.now() - startMs) / 1_000
  const cpu = process.cpuUsage(cpuBefore)
  const client = await pool.connect()
  const { tables } = await compareBuild(client, projection, { position, listed: 1 })
  client.release()
  await pool.end()
  const built = {
    events: Number(position + 1n),
    eventsPerSecond: Math.round(Number(position + 1n) / seconds),
    buildSeconds: Math.round(seconds * 10) / 10,
    cpuSeconds: Math.round((cpu.user + cpu.system) / 1e5) / 10,
    differences: tables.reduce((sum, table) => sum + Number(table.differences), 0),
  }
  process.send?.(JSON.stringify(built))
  process.disconnect?.()
}

const [mode, text] = process.argv.slice(2)
if (mode === '--build' && text !== undefined) {
  await build(JSON.parse(text))
} else if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const figures = await measureRebuild(Number(mode ?? 1_000_000))
  for (const [name, value] of Object.entries(figures)) console.log(`${name.padEnd(16)} ${value}`)
}
