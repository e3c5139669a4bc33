import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type EmbeddedPostgres, openEmbeddedPostgres } from '../../src/eventstore/embedded-postgres.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'

const isRoot = userInfo().uid === 0
const said: string[] = []
const log = { info: (message: string) => said.push(message), warn: (message: string) => said.push(message) }
const holder = fileURLToPath(new URL('../support/hold-embedded-postgres.ts', import.meta.url))
const children: ChildProcess[] = []
let stateDir = ''

/** The first initialisation takes seconds: one cluster, which the tests of this file take further in their order. */
beforeAll(() => {
  stateDir = mkdtempSync(join(tmpdir(), 'cv-epg-'))
  chmodSync(stateDir, 0o755)
})
afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(stateDir, { recursive: true, force: true })
})

const open = (): Promise<EmbeddedPostgres> => openEmbeddedPostgres({ stateDir, socketDir: join(stateDir, 'run'), log })
const dataFile = (name: string): string => join(stateDir, 'postgresql', 'data', name)

async function query(connection: PostgresAddress, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client(connection)
  client.on('error', () => undefined)
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows
  } finally {
    await client.end()
  }
}

async function setting(connection: PostgresAddress, name: string): Promise<unknown> {
  return (await query(connection, `select current_setting('${name}') as value`))[0]?.['value']
}

/** Starts a process that holds the server as the daemon does, and kills it without a chance to clean up. */
async function holdAndKill(): Promise<number> {
  const child = spawn(process.execPath, [holder, stateDir], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const line: unknown = await Promise.race([
    once(child.stdout, 'data').then(([first]) => first),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`the holder ended with ${code}`))),
  ])
  child.kill('SIGKILL')
  await once(child, 'exit')
  return Number(String(line))
}

describe('openEmbeddedPostgres()', () => {
  test('creates a cluster that is reached by its socket only and keeps what it acknowledged', async () => {
    const startedMs = performance.now()
    await using server = await open()
    expect(performance.now() - startedMs, 'milliseconds to the first start').toBeLessThan(90_000)
    expect(server.adopted).toBe(false)
    const { connection } = server
    expect(connection.host).toBe(join(stateDir, 'run', 'postgresql'))
    expect(await setting(connection, 'listen_addresses')).toBe('')
    for (const name of ['fsync', 'synchronous_commit', 'full_page_writes']) {
      expect(await setting(connection, name), name).toBe('on')
    }
    expect(await setting(connection, 'wal_compression')).toBe('pglz')
    expect(await setting(connection, 'server_encoding')).toBe('UTF8')
    expect(
      await query(connection, `select datcollate, datname from pg_database where datname = 'chronovisor'`),
    ).toEqual([{ datcollate: 'C', datname: 'chronovisor' }])
    await query(connection, 'create table kept (n int)')
  })

  test('starts again at once, with the data, from programs below the state directory', async () => {
    const startedMs = performance.now()
    await using server = await open()
    const tookMs = performance.now() - startedMs
    expect(await query(server.connection, 'select count(*)::int as n from kept')).toEqual([{ n: 0 }])
    expect(tookMs, 'milliseconds to a later start').toBeLessThan(30_000)
    expect(readlinkSync(`/proc/${server.pid}/exe`)).toMatch(new RegExp(`^${stateDir}/postgresql/[^/]+/bin/postgres$`))
    expect(readFileSync(`/proc/${server.pid}/maps`, 'utf8')).not.toContain('node_modules')
  })

  test('runs the server in a session of its own and, as root, as a user of its own', async () => {
    await using server = await open()
    const stat = readFileSync(`/proc/${server.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    expect(Number(stat[3]), 'session').toBe(server.pid)
    const { uid } = statSync(`/proc/${server.pid}`)
    expect(uid === 0).toBe(false)
    expect(uid === userInfo().uid).toBe(!isRoot)
    expect(statSync(dataFile('base')).mode & 0o077).toBe(0)
  })

  test('adopts the server that outlived a daemon killed with SIGKILL', async () => {
    const pid = await holdAndKill()
    await using server = await open()
    expect({ pid: server.pid, adopted: server.adopted }).toEqual({ pid, adopted: true })
    await query(server.connection, 'insert into kept values (1)')
  })

  test('restarts a server that was killed, adopted or not, without losing a commit', async () => {
    await holdAndKill()
    await using server = await open()
    for (const round of [2, 3]) {
      await query(server.connection, `insert into kept values (${round})`)
      const { pid } = server
      const exited = new Promise<number>((resolve) => server.onExit(resolve))
      process.kill(pid, 'SIGKILL')
      expect(await exited).toBe(pid)
      await server.ensureRunning(AbortSignal.timeout(20_000))
      expect(server.pid).not.toBe(pid)
      expect(await query(server.connection, 'select n from kept order by n')).toContainEqual({ n: round })
    }
    expect(said.join('\n')).toContain('starting it again')
  })

  test('starts a new server when the daemon and the server were killed together', async () => {
    const pid = await holdAndKill()
    process.kill(pid, 'SIGKILL')
    await using server = await open()
    expect(server.adopted).toBe(false)
    expect(await query(server.connection, 'select n from kept order by n')).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
  })

  test('moves to another socket directory by restarting the server', async () => {
    const pid = await holdAndKill()
    await using server = await openEmbeddedPostgres({ stateDir, socketDir: join(stateDir, 'other'), log })
    expect(server.pid).not.toBe(pid)
    expect(server.connection.host).toBe(join(stateDir, 'other', 'postgresql'))
    expect(await setting(server.connection, 'listen_addresses')).toBe('')
  })

  test('is not misled by a pid file that names a living process of somebody else', async () => {
    writeFileSync(
      dataFile('postmaster.pid'),
      `${process.pid}\n${join(stateDir, 'postgresql', 'data')}\n0\n5432\n/tmp\n\n\nready\n`,
    )
    await using server = await open()
    expect(server.adopted).toBe(false)
    expect(server.pid).not.toBe(process.pid)
  })

  test('keeps what the operator wrote into local.conf, and nothing that was changed elsewhere', async () => {
    writeFileSync(dataFile('local.conf'), 'max_connections = 37\n')
    writeFileSync(dataFile('pg_hba.conf'), 'local all all trust\n')
    await using server = await open()
    expect(await setting(server.connection, 'max_connections')).toBe('37')
    expect(readFileSync(dataFile('pg_hba.conf'), 'utf8')).toBe('local all all peer map=chronovisor\n')
  })

  test('lets nobody in but root and the server’s own user', async () => {
    await using server = await open()
    const stranger = new Client({ ...server.connection, user: 'postgres' })
    await expect(stranger.connect()).rejects.toThrow('Peer authentication failed')
  })

  test('quotes the log when the server cannot start, and leaves no process behind', async () => {
    writeFileSync(dataFile('local.conf'), 'shared_buffers = nonsense\n')
    await expect(open()).rejects.toThrow(/invalid value for parameter "shared_buffers"/)
    writeFileSync(dataFile('local.conf'), '')
    await using server = await open()
    expect(server.adopted).toBe(false)
  })

  test('refuses a cluster of another major version without touching it', async () => {
    const original = readFileSync(dataFile('PG_VERSION'), 'utf8')
    writeFileSync(dataFile('PG_VERSION'), '17\n')
    await expect(open()).rejects.toThrow(/was made by PostgreSQL 17/)
    writeFileSync(dataFile('PG_VERSION'), original)
  })

  test('rejects ensureRunning() after stop(), and a second stop() does nothing', async () => {
    const server = await open()
    await server.stop()
    await server.stop()
    await expect(server.ensureRunning()).rejects.toThrow('it is being stopped')
  })

  test('refuses a socket path that does not fit, naming it', async () => {
    const socketDir = join(stateDir, 'x'.repeat(100))
    await expect(openEmbeddedPostgres({ stateDir, socketDir, log })).rejects.toThrow(
      /x{100}.*a UNIX socket's may have 107/,
    )
  })

  test.runIf(isRoot)(
    'refuses a state directory that the server’s user cannot traverse, naming the directory',
    async () => {
      const closed = join(stateDir, 'closed')
      mkdirSync(closed, { mode: 0o700 })
      const options = { stateDir: join(closed, 'state'), socketDir: join(stateDir, 'run'), log }
      await expect(openEmbeddedPostgres(options)).rejects.toThrow(`cannot traverse "${closed}"`)
    },
  )
})
