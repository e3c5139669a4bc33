import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningDaemon, startDaemon } from '../support/running-daemon.ts'

const isRoot = process.getuid?.() === 0
const query = `const pg = require('pg')
const client = new pg.Client(JSON.parse(process.argv[1]))
client.connect().then(() => client.query(process.argv[2])).then(
  ({ rows }) => (console.log(JSON.stringify(rows)), client.end()),
  (error) => (console.log(error.code), client.end()))`

describe('chronovisor db-user', () => {
  let daemon: RunningDaemon
  beforeAll(async () => {
    daemon = await startDaemon({ driver: 'test' })
  })
  afterAll(() => daemon[Symbol.asyncDispose]())

  test('adds a login with its limits, changes them, lists it, removes it', async () => {
    expect((await daemon.cli('db-user', 'list')).status).toBe(1)
    const added = await daemon.cli('db-user', 'add', 'reports', '--os-user', 'metabase', '--timeout', '300')
    expect(added).toMatchObject({ status: 0, out: expect.stringContaining('-U reports chronovisor') })
    expect((await daemon.cli('db-user', 'add', 'reports', '--connections', '2')).status).toBe(0)
    const listed = await daemon.cli('db-user', 'list', '--json')
    expect(JSON.parse(listed.out)).toEqual({
      logins: [{ name: 'reports', connections: 2, statementS: 60, idleS: 60, osUser: 'metabase' }],
    })
    expect((await daemon.cli('db-user', 'remove', 'reports')).status).toBe(0)
    expect((await daemon.cli('db-user', 'remove', 'reports')).status).toBe(1)
  })

  test('refuses names and numbers that are none, and a server that is not ours', async () => {
    for (const words of [
      ['add', 'chronovisor'],
      ['add', 'a"b'],
      ['add', 'x', '--os-user', 'a" b'],
      ['add', 'x', '--timeout', '0'],
    ]) {
      expect(await daemon.cli('db-user', ...words)).toMatchObject({
        status: 2,
        err: expect.stringContaining('Cannot '),
      })
    }
    const given = await daemon.cli('db-user', 'list', '--database', 'postgres://nobody@nowhere/x')
    expect(given).toMatchObject({ status: 2, err: expect.stringContaining('in role chronovisor_reader') })
  })

  test.skipIf(!isRoot)('lets that user in and nobody else, also after a restart', async () => {
    expect((await daemon.cli('db-user', 'add', 'reports', '--os-user', 'nobody')).status).toBe(0)
    const { host = '', port = 0, database = '' } = daemon.file().database
    const uid = Number(spawnSync('id', ['-u', 'nobody'], { encoding: 'utf8' }).stdout)
    const { gid } = statSync(host)
    const ask = (user: string, text: string): string => {
      const config = JSON.stringify({ host, port, database, user })
      const { stdout } = spawnSync(process.execPath, ['-e', query, config, text], { encoding: 'utf8', uid, gid })
      return stdout.trim()
    }
    const found = 'select count(*)::int > 0 as found from log_events'
    expect(ask('reports', found)).toBe('[{"found":true}]')
    expect(ask('reports', 'select count(*)::int as found from domain_states')).toBe('[{"found":0}]')
    expect(ask('reports', 'delete from domain_states')).toMatch(/^(25006|42501)$/)
    expect(ask('chronovisor', found)).toBe('28000')
    await daemon.stop()
    await daemon.start()
    expect(ask('reports', found)).toBe('[{"found":true}]')
    expect((await daemon.cli('db-user', 'remove', 'reports')).status).toBe(0)
    expect(ask('reports', found)).toBe('28000')
  })

  test('the daemon itself may not change what it wrote', async () => {
    const { out } = await daemon.cli('status')
    expect(out).toMatch(/^rights +the writer may add to the log, not change it$/m)
    const client = new pg.Client({ ...daemon.file().database })
    await client.connect()
    await client.query('set role chronovisor_writer')
    await expect(client.query('delete from event')).rejects.toMatchObject({ code: '42501' })
    await client.end()
  })
})
