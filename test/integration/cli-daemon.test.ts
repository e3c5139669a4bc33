import { spawn } from 'node:child_process'
import { appendFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { controlProcedures } from '../../src/protocol/control-procedures.ts'
import { remoteProcedures } from '../../src/protocol/procedure-table.ts'
import { programs } from '../../src/protocol/programs.ts'
import { encode } from '../../src/xdr/xdr-codec.ts'
import { capture } from '../support/capture.ts'
import { killPostgres } from '../support/fault-actions.ts'
import { RpcCallError, RpcClient } from '../support/rpc-client.ts'
import { type RunningDaemon, startDaemon } from '../support/running-daemon.ts'

const launcher = fileURLToPath(new URL('../../src/launcher.js', import.meta.url))
const xml = `<domain type='test'><name>web</name><memory unit='MiB'>64</memory><os><type>hvm</type></os>
<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/images/base.qcow2'/><target dev='vda'/></disk></devices></domain>`

let daemon: RunningDaemon
beforeAll(async () => {
  daemon = await startDaemon({ driver: 'test' })
  await using client = await RpcClient.open(daemon.socketPath(), 'test:///default?reason=CHG-1')
  const { domain } = await client.call(remoteProcedures.domainDefineXml, { xml: Buffer.from(xml) })
  await client.call(remoteProcedures.domainCreate, { domain })
}, 90_000)
afterAll(() => daemon[Symbol.asyncDispose]())

describe('chronovisor beside a running daemon', () => {
  test('status finds it by its directories and is answered by it', async () => {
    const run = await daemon.cli('status', '--json')
    expect(run.status).toBe(0)
    expect(JSON.parse(run.out)).toMatchObject({
      daemon: {
        pid: daemon.pid(),
        driver: 'test',
        uptimeMs: expect.stringMatching(/^\d+$/),
        grpc: null,
        log: {
          unavailable: null,
          epoch: 1,
          queued: { count: 0, bytes: 0 },
          subscriptions: { count: 0, lagEvents: '0' },
        },
      },
      log: {
        defined: 1,
        running: 1,
        deadLetters: 0,
        projections: expect.arrayContaining([expect.objectContaining({ name: 'domain_states', lagEvents: '0' })]),
      },
      checkpoint: { size: expect.stringMatching(/^\d+$/), at: expect.stringMatching(/Z$/) },
      verify: null,
    })
    const { out } = await daemon.cli('status')
    expect(out).toContain(`process ${daemon.pid()}`)
    expect(out).toMatch(/^appends +possible, 0 waiting with 0 B$/m)
    expect(out).toMatch(/^checkpoint +over \d+ events, /m)
    expect(out).toMatch(/^verified +never/m)
  })

  test('status and whoever asks are told how the log is, and of the last verification', async () => {
    await using client = await RpcClient.open(daemon.socketPath(), 'test:///default')
    const { report } = await client.call(controlProcedures.logStatus, {}, programs.control)
    expect(JSON.parse(report)).toMatchObject({ unavailable: null, rolesProblem: null, position: expect.any(String) })
    expect((await daemon.cli('verify')).status).toBe(0)
    expect((await daemon.cli('status')).out).toMatch(/^verified +in order, \d+ events in /m)
    const { out } = await daemon.cli('status', '--json')
    expect(JSON.parse(out)).toMatchObject({ verify: { findings: 0, events: expect.stringMatching(/^\d+$/) } })
  })

  test('status tells of a log whose database is away', async () => {
    await using alone = await startDaemon({ driver: 'test' })
    appendFileSync(join(alone.stateDir, 'postgresql/data/local.conf'), '\nno_such_setting = on\n')
    await killPostgres(alone.stateDir)
    await vi.waitFor(
      async () => {
        const away = await alone.cli('status')
        expect(away.out).toMatch(/^appends +Cannot append: the log is unavailable since /m)
        expect(away.out).toMatch(/^database +Cannot /m)
        expect(away.status).toBe(2)
      },
      { timeout: 30_000, interval: 100 },
    )
  })

  test('log tells who asked and why', async () => {
    const run = await daemon.cli('log', 'web', '--type', 'DomainDefined')
    expect(run).toMatchObject({ status: 0, err: '' })
    expect(run.out).toMatch(/DomainDefined +web, judged by .*\(DOMAIN_DEFINE_XML, because: CHG-1\)/)
  })

  test('a check of everything finds nothing, the hypervisor asked', async () => {
    const run = await daemon.cli('check', '--all')
    expect(run.out).toMatch(/^I7 +ok .*\(1 disks of 1 running domains\)$/m)
    expect(run.out).toMatch(/^I6 +ok /m)
    expect(run.status).toBe(0)
    expect((await daemon.cli('replay', '--check')).out).toMatch(/^identical /m)
    expect((await daemon.cli('caps', 'audit')).status).toBe(0)
  })

  test('chain adopt is refused while the domain runs, and recorded with its reason when it is off', async () => {
    const refused = await daemon.cli('chain', 'adopt', 'web', 'vda')
    expect(refused).toMatchObject({ status: 2, out: '', err: expect.stringContaining('it must be shut off') })
    await using client = await RpcClient.open(daemon.socketPath(), 'test:///default')
    const { domain } = await client.call(remoteProcedures.domainLookupByName, { name: 'web' })
    await client.call(remoteProcedures.domainDestroy, { domain })
    const adopted = await daemon.cli('chain', 'adopt', 'web', 'vda', '--reason', 'rebased & checked')
    expect(adopted).toMatchObject({ status: 0, out: expect.stringContaining('/images/base.qcow2') })
    const [event] = JSON.parse((await daemon.cli('log', 'web', '--json', '-n', '1')).out)
    expect(event).toMatchObject({ type: 'BackingChainAdopted', procedure: 'CHAIN_ADOPT', reason: 'rebased & checked' })
    expect((await daemon.cli('chain', 'adopt', 'wbe', 'vda')).err).toContain('known are "web"')
  })

  test('caps forget throws a version away, by request and with its reason', async () => {
    expect(await daemon.cli('caps', 'forget')).toMatchObject({
      status: 2,
      err: expect.stringContaining('name one emulator, or give --all'),
    })
    const absent = await daemon.cli('caps', 'forget', '/usr/bin/none')
    expect(absent).toMatchObject({ status: 2, err: expect.stringContaining('it was never probed, known are "test"') })
    expect(await daemon.cli('caps', 'forget', 'test')).toMatchObject({
      status: 0,
      out: '1 capability version forgotten.\n',
    })
    expect(await daemon.cli('caps', 'forget', '--all')).toMatchObject({
      status: 1,
      out: '0 capability versions forgotten.\n',
    })
    const [dead] = JSON.parse((await daemon.cli('caps', 'invalidations', '--json')).out)
    expect(dead).toMatchObject({ reason: 'operator_request', detectedBy: 'CAPS_FORGET', definedDomains: ['web'] })
    expect((await daemon.cli('caps', 'audit')).out).toContain('an operator asked for it')
  })

  test('tells readers of commits on a socket of its own, for its own user', () => {
    const feed = statSync(join(daemon.socketDir, 'log-feed.sock'))
    expect(feed.isSocket()).toBe(true)
    expect(feed.mode & 0o777).toBe(0o600)
  })

  test('log --follow shows what comes', async () => {
    const env = { ...process.env, CHRONOVISOR_SOCKET_DIR: daemon.socketDir, CHRONOVISOR_STATE_DIR: daemon.stateDir }
    const child = spawn(process.execPath, [launcher, 'log', 'web', '--follow', '-n', '1', '--json'], { env })
    try {
      let text = ''
      const followed = new Promise<void>((resolve) => {
        child.stdout.on('data', (chunk: Buffer) => {
          text += chunk.toString()
          if (text.includes('DomainAutostartChanged')) resolve()
        })
      })
      while (!text.includes('\n')) await new Promise((resolve) => setTimeout(resolve, 20))
      await using client = await RpcClient.open(daemon.socketPath(), 'test:///default')
      const { domain } = await client.call(remoteProcedures.domainLookupByName, { name: 'web' })
      await client.call(remoteProcedures.domainSetAutostart, { domain, autostart: 1 })
      await followed
      const types = text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).type)
      expect(types).toEqual(['BackingChainAdopted', 'DomainAutostartChanged'])
      const ended = new Promise((resolve) => child.once('exit', (code) => resolve(code)))
      child.kill('SIGINT')
      expect(await ended).toBe(0)
    } finally {
      child.kill('SIGKILL')
    }
  })

  test('a reader that goes away ends it without a word', async () => {
    const run = await capture(
      'bash',
      ['-c', `"${process.execPath}" "${launcher}" log --json | head -c 1; exit \${PIPESTATUS[0]}`],
      {
        env: { CHRONOVISOR_SOCKET_DIR: daemon.socketDir, CHRONOVISOR_STATE_DIR: daemon.stateDir },
      },
    )
    expect(run).toMatchObject({ status: 0, out: '[', err: '' })
  })
})

describe('the control program on the wire', () => {
  test('is answered by its own numbers, and refused to connections that may only read', async () => {
    await using client = await RpcClient.open(daemon.socketPath(), 'test:///default')
    const { number: program } = programs.control
    await client.callRaw(controlProcedures.daemonStatus.number, encode(controlProcedures.daemonStatus.args, {}), {
      program,
    })
    await expect(client.callRaw(99, Buffer.alloc(0), { program })).rejects.toThrow('unknown procedure: 99')
    await using reader = await RpcClient.open(daemon.file().sockets.readOnly, 'test:///default')
    await reader.callRaw(controlProcedures.daemonStatus.number, Buffer.alloc(0), { program })
    for (const { number, args } of [
      {
        number: controlProcedures.capsForget.number,
        args: encode(controlProcedures.capsForget.args, { binary: null }),
      },
      { number: controlProcedures.domainsCheck.number, args: Buffer.alloc(0) },
      { number: controlProcedures.replayCheck.number, args: Buffer.alloc(0) },
    ]) {
      await expect(reader.callRaw(number, args, { program })).rejects.toThrow(/read only access prevents/)
    }
    await expect(reader.callRaw(1, Buffer.alloc(0), { program, version: 2 })).rejects.toThrow(RpcCallError)
  })
})

describe('the command line', () => {
  const cli = (...args: readonly string[]) => capture(process.execPath, [launcher, ...args])

  test('has help with examples for every subcommand', async () => {
    const { out, status } = await cli('--help')
    expect(status).toBe(0)
    const names = [...out.matchAll(/^ {2}([a-z]+) /gm)].map((match) => match[1])
    for (const name of [
      'daemon',
      'status',
      'log',
      'why',
      'trace',
      'xml',
      'chain',
      'jobs',
      'caps',
      'replay',
      'check',
      'setup',
    ]) {
      expect(names).toContain(name)
    }
    for (const words of [['log'], ['caps', 'audit'], ['chain', 'adopt']]) {
      expect((await cli(...words, '--help')).out).toContain(`Examples:\n  chronovisor ${words.join(' ')}`)
    }
  })

  test('ends with 2 for what it does not know', async () => {
    expect(await cli('lgo')).toMatchObject({ status: 2, err: expect.stringContaining('Did you mean log?') })
    expect(await cli('log', '--sicne', '1')).toMatchObject({ status: 2, err: expect.stringContaining('--since') })
    expect(await cli('xml')).toMatchObject({
      status: 2,
      err: expect.stringContaining("missing required argument 'domain'"),
    })
    const nowhere = await cli('log', '--socket-dir', '/nonexistent')
    expect(nowhere).toMatchObject({
      status: 2,
      err: expect.stringContaining('start one, name its --socket-dir, or give --database'),
    })
  })
})
