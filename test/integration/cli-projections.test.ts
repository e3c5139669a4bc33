import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { controlProcedures } from '../../src/protocol/control-procedures.ts'
import { remoteProcedures } from '../../src/protocol/procedure-table.ts'
import { programs } from '../../src/protocol/programs.ts'
import { RpcClient } from '../support/rpc-client.ts'
import { type RunningDaemon, startDaemon } from '../support/running-daemon.ts'

const launcher = fileURLToPath(new URL('../../src/launcher.js', import.meta.url))
const xml = `<domain type='test'><name>web</name><memory unit='MiB'>64</memory><os><type>hvm</type></os></domain>`

let daemon: RunningDaemon
beforeAll(async () => {
  daemon = await startDaemon({ driver: 'test' })
  await using client = await RpcClient.open(daemon.socketPath(), 'test:///default')
  const { domain } = await client.call(remoteProcedures.domainDefineXml, { xml: Buffer.from(xml) })
  await client.call(remoteProcedures.domainCreate, { domain })
}, 90_000)
afterAll(() => daemon[Symbol.asyncDispose]())

async function sql(text: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ ...daemon.file().database })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

describe('chronovisor projections', () => {
  test('lists each read model with its position, its tables and what the log takes', async () => {
    const run = await daemon.cli('projections', '--json')
    expect(run.status).toBe(0)
    const { projections, log, deadLetters } = JSON.parse(run.out)
    expect(deadLetters).toEqual([])
    expect(projections).toContainEqual(
      expect.objectContaining({ name: 'domain_states', version: 1, state: 'live', lagEvents: '0', deadLetters: 0 }),
    )
    expect(log.categories).toContainEqual(expect.objectContaining({ category: 'domain' }))
    expect((await daemon.cli('projections')).out).toMatch(/^claims +1 +live +@\d+ +- +0$/m)
  })

  test('retry and skip say what there is to do, and refuse what is not quarantined', async () => {
    expect(await daemon.cli('projections', 'retry', 'claims')).toMatchObject({ status: 1 })
    expect(await daemon.cli('projections', 'retry', 'clams')).toMatchObject({
      status: 2,
      err: expect.stringContaining('Cannot find projection "clams": there are "backing_chains"'),
    })
    expect(await daemon.cli('projections', 'skip', 'claims', 'name-web')).toMatchObject({
      status: 2,
      err: expect.stringContaining('it is not quarantined there'),
    })
  })

  test('retry has every read model that could not take a fact follow its stream again, recorded with who and why', async () => {
    await using client = await RpcClient.open(daemon.socketPath(), 'test:///default')
    const { domain } = await client.call(remoteProcedures.domainLookupByName, { name: 'web' })
    await sql(`alter table domain_states add constraint never_off check (domain_id >= 0)`)
    await client.call(remoteProcedures.domainDestroy, { domain })
    await sql(`alter table domain_states drop constraint never_off`)
    const run = await daemon.cli('projections')
    expect(run.status).toBe(3)
    expect(run.out).toMatch(/^domain_states does not follow domain-\S+ from @\d+ on \(1 attempts\): .*never_off/m)
    const letters: { readonly projection: string; readonly stream: string }[] = JSON.parse(
      (await daemon.cli('projections', '--json')).out,
    ).deadLetters
    for (const projection of new Set(letters.map((letter) => letter.projection))) {
      const retried = await daemon.cli('projections', 'retry', projection, '--reason', 'CHG-8')
      expect(retried).toMatchObject({ status: 0, out: expect.stringContaining('is followed again from @') })
    }
    expect((await daemon.cli('projections')).status).toBe(0)
    const [event] = JSON.parse((await daemon.cli('log', '--type', 'ProjectionStreamRetried', '--json', '-n', '1')).out)
    expect(event).toMatchObject({ procedure: 'PROJECTION_RETRY', reason: 'CHG-8' })
    expect((await daemon.cli('replay', '--check')).out).toMatch(/^identical /m)
  })

  test('are changed by clients that may write only', async () => {
    const { projectionRetry, projectionSkip, projectionSwitch, projectionStatus } = controlProcedures
    await using reader = await RpcClient.open(daemon.file().sockets.readOnly, 'test:///default')
    const wanted = { projection: 'claims', stream: 'name-web' }
    await expect(reader.call(projectionRetry, wanted, programs.control)).rejects.toThrow('read only')
    await expect(reader.call(projectionSkip, wanted, programs.control)).rejects.toThrow('read only')
    await expect(reader.call(projectionSwitch, wanted, programs.control)).rejects.toThrow('read only')
    expect((await reader.call(projectionStatus, {}, programs.control)).report).toContain('"domain_states"')
  })
})

describe('chronovisor rebuild', () => {
  test('shows with --diff what is different and changes nothing; without it the daemon switches, and it is recorded', async () => {
    await sql(`update claims set mode = 'shared' where subject = 'web'`)
    const diff = await daemon.cli('rebuild', 'claims', '--diff')
    expect(diff.status).toBe(3)
    expect(diff.out).toMatch(/^claims: 1 versions, 1 differences$/m)
    expect(diff.out).toMatch(/^ {2}serves .*"mode":"shared"/m)
    expect(diff.out).toMatch(/^ {2}built .*"mode":"exclusive"/m)
    expect((await daemon.cli('replay', '--check')).status).toBe(3)
    const run = await daemon.cli('rebuild', 'claims', '--reason', 'CHG-7', '--json')
    expect(run.status).toBe(0)
    expect(JSON.parse(run.out)).toMatchObject({
      rebuilt: [{ projection: 'claims', identical: false, switched: { heldMs: expect.any(Number) } }],
    })
    expect((await daemon.cli('replay', '--check')).out).toMatch(/^identical /m)
    const [event] = JSON.parse((await daemon.cli('log', '--type', 'ProjectionRebuilt', '--json')).out)
    expect(event).toMatchObject({ stream: 'projection-claims', procedure: 'PROJECTION_SWITCH', reason: 'CHG-7' })
    expect(await sql(`select 1 from pg_namespace where nspname ~ '^(build|retired)_'`)).toEqual([])
    expect((await daemon.cli('rebuild', 'claims', '--diff')).status).toBe(0)
  })

  test('says what it cannot do before it begins', async () => {
    expect((await daemon.cli('rebuild')).err).toContain('name a read model')
    expect((await daemon.cli('rebuild', 'clams')).err).toContain('there are backing_chains, ')
    expect((await daemon.cli('rebuild', 'claims', '--diff', '--prepare')).err).toContain('not both')
    expect(await daemon.cli('rebuild', '--prepare')).toMatchObject({ status: 1 })
  })

  test('leaves nothing behind when it is interrupted, and a killed one is swept by the next', async () => {
    for (const signal of ['SIGINT', 'SIGKILL'] as const) {
      const child = spawn(
        process.execPath,
        [launcher, 'rebuild', 'claims', '--prepare', '--socket-dir', daemon.socketDir],
        {
          stdio: 'ignore',
        },
      )
      const ended = once(child, 'exit')
      while ((await sql(`select 1 from pg_namespace where nspname = 'build_claims'`)).length === 0) {
        if (child.exitCode !== null) break
        await sleep(2)
      }
      child.kill(signal)
      await ended
    }
    await daemon.cli('rebuild', 'claims', '--diff')
    expect(await sql(`select 1 from pg_namespace where nspname ~ '^(build|retired)_'`)).toEqual([])
    expect(await sql('select 1 from projection_build')).toEqual([])
  })
})
