import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { remoteProcedures } from '../../src/protocol/procedure-table.ts'
import { changeFile, flip } from '../support/backup-kit.ts'
import { startDebianPostgres } from '../support/debian-postgres.ts'
import { processesNaming } from '../support/end-processes.ts'
import { requireTool } from '../support/require-tool.ts'
import { RpcClient } from '../support/rpc-client.ts'
import { type RunningDaemon, startDaemon } from '../support/running-daemon.ts'

const launcher = fileURLToPath(new URL('../../src/launcher.js', import.meta.url))

let daemon: RunningDaemon
beforeAll(async () => {
  daemon = await startDaemon({ driver: 'test' })
  await define('web')
}, 90_000)
afterAll(() => daemon[Symbol.asyncDispose]())

async function define(name: string, of = daemon): Promise<void> {
  const xml = `<domain type='test'><name>${name}</name><memory unit='MiB'>64</memory><os><type>hvm</type></os></domain>`
  await using client = await RpcClient.open(of.socketPath(), 'test:///default')
  await client.call(remoteProcedures.domainDefineXml, { xml: Buffer.from(xml) })
}

/** A file of the directory that the daemon and its images are in. */
function at(name: string): string {
  return join(daemon.directory, name)
}

async function head(of = daemon): Promise<{ position: number; epoch: number }> {
  const { log } = JSON.parse((await of.cli('status', '--json')).out)
  return { position: Number(log.position), epoch: log.epoch }
}

/** The daemon's own log exchanged for the one of a backup, as after the loss of its disk. */
async function restoreIntoDaemon(of: RunningDaemon, dir: string): Promise<void> {
  await of.stop()
  renameSync(join(of.stateDir, 'postgresql'), join(of.stateDir, `postgresql-${process.hrtime.bigint()}`))
  rmSync(join(of.stateDir, 'host-id'))
  const restored = await of.cli('restore', dir)
  expect(restored).toMatchObject({ status: 0 })
  // At its end the daemon signed that it had stopped, which the backup does not know.
  expect(restored.out).toMatch(
    /^Lost: positions \d+ to \d+: signed by the checkpoint in ".*log-checkpoint", now kept as ".*"\.$/m,
  )
  await of.start()
}

describe('chronovisor backup', () => {
  test('copies the log of the running daemon, and says what it wrote and what is not in it', async () => {
    const first = await daemon.cli('backup', at('said'))
    expect(first).toMatchObject({ status: 0 })
    expect(first.out).toMatch(/^written +\d+ files, .*$/m)
    expect(first.out).toMatch(/^kept +0 files/m)
    expect(first.out).toMatch(/^not in it +read models: .*disk images.*log-signing-key.*grpc-credentials/m)
    expect(first.out).toMatch(/^signed +the first \d+ events$/m)
    const again = await daemon.cli('backup', at('said'), '--json')
    const { position } = await head()
    expect(JSON.parse(again.out)).toMatchObject({
      dir: at('said'),
      head: { position: String(position) },
      written: [],
      repaired: [],
    })
    expect(await daemon.cli('backup', at('no/parent'))).toMatchObject({
      status: 2,
      err: expect.stringContaining('it cannot be made (ENOENT'),
    })
    expect((await daemon.cli('backup', daemon.directory)).err).toMatch(/it holds ".*" and no backup/)
  })

  test('starts the embedded server for itself where no daemon runs', async () => {
    const { position } = await head()
    await daemon.stop()
    const run = await daemon.cli('backup', at('stopped'), '--json')
    expect(run).toMatchObject({ status: 0 })
    // DaemonStopped is the one that came after the question.
    expect(Number(JSON.parse(run.out).head.position)).toBe(position + 1)
    expect(existsSync(join(daemon.stateDir, 'daemon.lock'))).toBe(false)
    await daemon.start()
  })
})

describe('chronovisor restore', () => {
  test('makes a log on which the daemon starts, with its domains, at the next position and epoch', async () => {
    expect((await daemon.cli('backup', at('moved'))).status).toBe(0)
    const before = await head()
    await restoreIntoDaemon(daemon, at('moved'))
    const after = await head()
    expect(after.epoch).toBe(before.epoch + 1)
    expect(after.position).toBeGreaterThan(before.position)
    await using client = await RpcClient.open(daemon.socketPath(), 'test:///default')
    await client.call(remoteProcedures.domainLookupByName, { name: 'web' })
    const checked = await daemon.cli('check', '--all')
    expect(checked.out).toMatch(/^I5 +ok/m)
    expect(checked.out).toMatch(/^I6 +ok/m)
    expect(checked.status).toBe(0)
    const again = JSON.parse((await daemon.cli('backup', at('moved-on'), '--json')).out)
    expect(again.checkpoint.split('\n')[1]).toBe(String(Number(again.head.position) + 1)) // it signs again
  })

  test('refuses the directory of a running daemon, one with a database, and one of another host', async () => {
    const dir = at('refused')
    expect((await daemon.cli('backup', dir)).status).toBe(0)
    expect(await daemon.cli('restore', dir)).toMatchObject({
      status: 2,
      err: expect.stringContaining(`process ${daemon.pid()}`),
    })
    await daemon.stop()
    expect(await daemon.cli('restore', dir)).toMatchObject({
      status: 2,
      err: expect.stringContaining('it holds a database of PostgreSQL 18'),
    })
    await daemon.start()
    const other = at('other-host')
    mkdirSync(other)
    writeFileSync(join(other, 'host-id'), '99999999-0000-4000-8000-000000000000\n')
    const run = await daemon.cli('restore', dir, '--state-dir', other)
    expect(run).toMatchObject({ status: 2, err: expect.stringContaining('it belongs to host "99999999-') })
    expect(readdirSync(other)).toEqual(['host-id'])
  })

  test('leaves no database behind of a damaged backup', async () => {
    const dir = at('damaged')
    expect((await daemon.cli('backup', dir)).status).toBe(0)
    const events = readdirSync(dir).find((name) => name.startsWith('events-')) ?? ''
    await changeFile(join(dir, events), (bytes) => flip(bytes, bytes.length >> 1, 2))
    const target = at('never')
    const run = await daemon.cli('restore', dir, '--state-dir', target)
    expect(run).toMatchObject({
      status: 2,
      err: expect.stringContaining(`${events}: the page at byte 48 was changed (positions 0 to `),
    })
    expect(existsSync(join(target, 'postgresql', 'data'))).toBe(false)
    expect(existsSync(join(target, 'restore.unfinished'))).toBe(false)
  })

  test('that is killed leaves a mark on which no daemon starts, and which the next restore clears away', async () => {
    const dir = at('killed')
    expect((await daemon.cli('backup', dir)).status).toBe(0)
    await daemon.stop()
    renameSync(join(daemon.stateDir, 'postgresql'), join(daemon.stateDir, 'postgresql-before'))
    const data = join(daemon.stateDir, 'postgresql', 'data')
    const restoring = spawnCli('restore', dir)
    await until(() => existsSync(join(data, 'postmaster.pid')))
    await killed(restoring)
    await expect(daemon.start()).rejects.toThrow(/a restore into ".*" was cut off; run it again/)
    const again = await daemon.cli('restore', dir)
    expect(again).toMatchObject({ status: 0 })
    await daemon.start()
    expect((await daemon.cli('check')).status).toBe(0)
    expect(readdirSync(at('scratch'))).toEqual([])
  })
})

describe('chronovisor restore --drill', () => {
  test('finds nothing missing, then exactly what was recorded since', async () => {
    const dir = at('drilled')
    expect((await daemon.cli('backup', dir)).status).toBe(0)
    const whole = await daemon.cli('restore', '--drill', dir)
    expect(whole).toMatchObject({ status: 0, out: expect.stringContaining('nothing is missing') })
    const before = await head()
    await define('db')
    const after = await head()
    const behind = await daemon.cli('restore', '--drill', dir)
    expect(behind.status).toBe(3)
    expect(behind.out).toContain(
      `missing: positions ${before.position + 1} to ${after.position}: recorded after the backup`,
    )
    expect(behind.out).toMatch(/missing: commits \d+ to \d+: recorded after the backup/)
    expect(behind.out).toMatch(/missing: [12] big texts: recorded after the backup/)
    const offline = await daemon.cli('restore', '--drill', '--offline', dir, '--json')
    expect(offline.status).toBe(0)
    expect(JSON.parse(offline.out)).toMatchObject({
      missing: [],
      damages: [],
      live: null,
      restored: { commits: expect.any(String) },
    })
  })

  test('names everything that a damaged backup lacks', async () => {
    const dir = at('holes')
    expect((await daemon.cli('backup', dir)).status).toBe(0)
    const { position } = await head()
    for (const name of readdirSync(dir)) if (/^(events|commits)-/.test(name)) rmSync(join(dir, name))
    const run = await daemon.cli('restore', '--drill', dir)
    expect(run.status).toBe(3)
    expect(run.out).toContain(`missing: positions 0 to ${position}: the backup is damaged`)
    expect(run.out).toMatch(/missing: commits 0 to \d+: the backup is damaged/)
    expect(run.out).toMatch(/damaged: events-.*: it is missing/)
  })

  test('leaves nothing behind, also when it is killed', async () => {
    const dir = at('drill-killed')
    expect((await daemon.cli('backup', dir)).status).toBe(0)
    const scratch = at('scratch')
    const drilling = spawnCli('restore', '--drill', '--offline', dir)
    const place = await until(() => readdirSync(scratch).find((name) => name.startsWith('chronovisor-drill-')))
    await until(() => existsSync(join(scratch, place, 'state', 'postgresql', 'data', 'postmaster.pid')))
    await killed(drilling)
    await until(() => readdirSync(scratch).length === 0 && processesNaming(scratch).length === 0)
  })
})

describe('the embedded PostgreSQL', () => {
  test('of another major version is refused with the commands that move the log, which work', async () => {
    expect((await daemon.cli('backup', at('upgrade'))).status).toBe(0)
    await daemon.stop()
    const version = join(daemon.stateDir, 'postgresql', 'data', 'PG_VERSION')
    writeFileSync(version, '17\n')
    const error = await daemon.start().catch((refused: unknown) => String(refused))
    expect(error).toContain('was made by PostgreSQL 17. To move the log:')
    const commands = [...String(error).matchAll(/^ {4}((?:chronovisor|mv) .+)$/gm)].map((match) => match[1] ?? '')
    const [root, stateDir] = [join(daemon.stateDir, 'postgresql'), daemon.stateDir]
    expect(commands).toEqual([
      `chronovisor backup /path/to/backup --state-dir ${stateDir}`,
      `mv ${root} ${root}-17`,
      `chronovisor restore /path/to/backup --state-dir ${stateDir}`,
    ])
    renameSync(root, `${root}-17`)
    expect((await daemon.cli('restore', at('upgrade'), '--state-dir', stateDir)).status).toBe(0)
    await daemon.start()
    expect((await daemon.cli('check')).status).toBe(0)
  })

  test.skipIf(!requireTool('postgresql-15'))('takes over the log of a PostgreSQL 15', async () => {
    using old = startDebianPostgres()
    await using other = await startDaemon({ driver: 'test', flags: ['--database', old.url] })
    await define('web', other)
    const backup = await other.cli('backup', join(other.directory, 'b'), '--database', old.url)
    expect(backup).toMatchObject({ status: 0 })
    await other.stop()
    rmSync(join(other.stateDir, 'host-id'))
    expect(await other.cli('restore', join(other.directory, 'b'))).toMatchObject({ status: 0 })
    await using restored = await startDaemon({ driver: 'test', flags: ['--state-dir', other.stateDir] })
    await using client = await RpcClient.open(restored.socketPath(), 'test:///default')
    await client.call(remoteProcedures.domainLookupByName, { name: 'web' })
    expect((await restored.cli('check', '--all')).status).toBe(0)
    await restored.stop()
  })
})

describe('a log of a newer program', () => {
  test('is refused by the daemon and by backup, naming the migration', async () => {
    const client = new pg.Client({ ...daemon.file().database })
    await client.connect()
    await client.query(
      "insert into schema_migration (number, name, sha256) values (99, '0099-later.sql', repeat('0', 64))",
    )
    const run = await daemon.cli('backup', at('newer'))
    expect(run).toMatchObject({
      status: 2,
      err: expect.stringMatching(/the schema has migration 99 \("0099-later.sql"\), this program knows up to \d/),
    })
    await client.end()
    await daemon.kill()
    await expect(daemon.start()).rejects.toThrow(
      /its schema has migration 99 \("0099-later.sql"\), this program knows up to \d/,
    )
  })
})

function spawnCli(...args: readonly string[]): ChildProcess {
  const places = {
    CHRONOVISOR_STATE_DIR: daemon.stateDir,
    CHRONOVISOR_SOCKET_DIR: daemon.socketDir,
    TMPDIR: at('scratch'),
  }
  mkdirSync(at('scratch'), { recursive: true, mode: 0o755 })
  return spawn(process.execPath, [launcher, ...args], { env: { ...process.env, ...places }, stdio: 'ignore' })
}

async function killed(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}

async function until<T>(condition: () => T | undefined | false): Promise<T> {
  for (let tries = 0; tries < 3_000; tries += 1) {
    const found = condition()
    if (found !== undefined && found !== false) return found
    await sleep(20)
  }
  throw new Error('What was waited for did not happen in a minute')
}
