import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type MemoryServer, startMemoryServer } from '../support/memory-server.ts'
import { requireTool } from '../support/require-tool.ts'

interface Outcome {
  readonly status: number
  readonly out: string
  readonly err: string
}

function run(command: string, args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(command, [...args], { timeout: 20_000, encoding: 'utf8' }, (error, out, err) => {
      resolve({ status: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, out, err })
    })
  })
}

const definition = `<domain type='qemu'><name>007</name><uuid>99999999-2222-3333-4444-555555555555</uuid>
  <memory unit='MiB'>32</memory><vcpu>2</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os></domain>`

describe.runIf(requireTool('libvirt-clients'))('an unmodified virsh', () => {
  let served: MemoryServer
  let directory: string
  const virsh = (...args: string[]) => run('virsh', ['-c', `qemu+unix:///system?socket=${served.path}`, ...args])

  beforeAll(async () => {
    served = await startMemoryServer({ keepaliveIntervalMs: 300, keepaliveCount: 3 })
    served.memory.add('web', { id: 4, state: 'running', reason: 'booted' })
    directory = mkdtempSync(join(tmpdir(), 'virsh-'))
    writeFileSync(join(directory, 'domain.xml'), definition)
  })

  afterAll(async () => {
    await served[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true, force: true })
  })

  test('connects without a warning, lists and leaves', async () => {
    const { status, out, err } = await virsh('list', '--all')
    expect([status, err]).toEqual([0, ''])
    expect(out).toMatch(/4\s+web\s+running/)
  })

  test('shows the host', async () => {
    expect((await virsh('hostname')).out.trim()).toBe('host.example')
    expect((await virsh('version', '--daemon')).out).toContain('Running hypervisor: QEMU 7.2.22')
    expect((await virsh('nodeinfo')).out).toMatch(/CPU model:\s+x86_64/)
    expect((await virsh('capabilities')).out.trim()).toBe('<capabilities/>')
    expect((await virsh('nodecpumap')).out).toMatch(/CPU map:\s+yy/)
  })

  test('defines, starts, pauses, destroys and undefines; a name of digits stays a name', async () => {
    const steps: readonly (readonly [readonly string[], string])[] = [
      [['define', join(directory, 'domain.xml')], "Domain '007' defined"],
      [['start', '007', '--paused'], "Domain '007' started"],
      [['domstate', '007', '--reason'], 'paused (user)'],
      [['resume', '007'], "Domain '007' resumed"],
      [['suspend', '007'], "Domain '007' suspended"],
      [['reset', '007'], "Domain '007' was reset"],
      [['dumpxml', '007'], '<vcpu>2</vcpu>'],
      [['destroy', '007', '--graceful'], "Domain '007' destroyed"],
      [['autostart', '007'], "Domain '007' marked as autostarted"],
      [['undefine', '007'], "Domain '007' has been undefined"],
    ]
    for (const [args, expected] of steps) {
      const { status, out, err } = await virsh(...args)
      expect([status, err.trim()], args.join(' ')).toEqual([0, ''])
      expect(out).toContain(expected)
    }
    expect((await virsh('dominfo', '007')).status).toBe(1)
  })

  test('shows a domain by every line of dominfo', async () => {
    const { status, out, err } = await virsh('dominfo', 'web')
    expect([status, err]).toEqual([0, ''])
    expect(out).toMatch(/State:\s+running/)
    expect(out).toMatch(/CPU time:\s+5.0s/)
    expect(out).toMatch(/Used memory:\s+32768 KiB/)
    expect(out).toMatch(/Security model:\s+none/)
  })

  test('shows figures', async () => {
    const { out } = await virsh('domstats', 'web')
    expect(out).toContain('state.state=1')
    expect(out).toContain('cpu.time=5000000000')
    expect(out).toContain('balloon.current=32768')
  })

  test('shows what the host measures of virtual CPUs, and nothing where it measures nothing', async () => {
    const ask = async () => await virsh('domstats', '--enforce', '--cpu-total', '--memory', 'web')
    expect((await ask()).out).not.toContain('monitor')
    const banks = [
      { id: 0, occupancyBytes: 4096n, localBytes: 10n, totalBytes: 2n ** 40n },
      { id: 1, occupancyBytes: null, localBytes: null, totalBytes: null },
    ]
    served.memory.monitors.push({ name: 'pair', vcpus: [0, 1, 2, 4], banks })
    served.memory.monitors.push({ name: 'mute', vcpus: [3], banks: banks.slice(1) })
    const { status, out, err } = await ask()
    served.memory.monitors.length = 0
    expect([status, err]).toEqual([0, ''])
    const told = out.split('\n').flatMap((line) => (line.includes('monitor') ? [line.trim()] : []))
    expect(told).toEqual([
      'cpu.cache.monitor.count=1',
      'cpu.cache.monitor.0.name=pair',
      'cpu.cache.monitor.0.vcpus=0-2,4',
      'cpu.cache.monitor.0.bank.count=1',
      'cpu.cache.monitor.0.bank.0.id=0',
      'cpu.cache.monitor.0.bank.0.bytes=4096',
      'memory.bandwidth.monitor.count=1',
      'memory.bandwidth.monitor.0.name=pair',
      'memory.bandwidth.monitor.0.vcpus=0-2,4',
      'memory.bandwidth.monitor.0.node.count=1',
      'memory.bandwidth.monitor.0.node.0.id=0',
      'memory.bandwidth.monitor.0.node.0.bytes.local=10',
      'memory.bandwidth.monitor.0.node.0.bytes.total=1099511627776',
    ])
  })

  test('is told what is not served, by name, and what is unknown', async () => {
    const { status, err } = await virsh('domtime', 'web')
    expect([status, err]).toEqual([
      1,
      expect.stringContaining('not supported by the connection driver: DOMAIN_GET_TIME'),
    ])
    expect((await virsh('dominfo', 'nobody')).err).toContain("failed to get domain 'nobody'")
    expect((await virsh('domuuid', 'nobody')).status).toBe(1)
    expect((await virsh('snapshot-info', 'web', 'none')).err).toContain(
      "Domain snapshot not found: no domain snapshot with matching name 'none'",
    )
  })

  test('is refused a moment of the past, and an unknown path, when it connects', async () => {
    const past = await run('virsh', [
      '-c',
      `qemu+unix:///system?socket=${served.path}&asof=2026-01-01T00:00:00Z`,
      'list',
    ])
    expect(past.status).toBe(1)
    expect(past.err).toContain('failed to connect to the hypervisor')
    expect(past.err).toContain('asof=2026-01-01T00:00:00Z')
    const path = await run('virsh', ['-c', `qemu+unix:///nowhere?socket=${served.path}`, 'list'])
    expect(path.err).toContain("unexpected qemu URI path '/nowhere'")
  })

  test('may only look when it asks for that', async () => {
    expect((await virsh('-r', 'list')).status).toBe(0)
    expect((await virsh('-r', 'destroy', 'web')).status).toBe(1)
    const socket = ['-c', `qemu+unix:///system?socket=${served.readOnlyPath}`]
    const { err } = await run('virsh', [...socket, 'destroy', 'web'])
    expect(err).toContain('operation forbidden: read only access prevents DOMAIN_DESTROY')
  })

  test('gives its reason with the connection', async () => {
    const uri = `qemu+unix:///system?socket=${served.path}&reason=CHG-1 2`.replace(' ', '%20')
    await run('virsh', ['-c', uri, 'suspend', 'web'])
    expect(served.memory.callers.at(-1)).toMatchObject({ procedure: 'DOMAIN_SUSPEND', reason: 'CHG-1 2' })
    expect(served.memory.callers.at(-1)?.actor.program).toMatch(/virsh$/)
  })

  test('registers for every event and prints those that come', async () => {
    const child = spawn('virsh', [
      '-c',
      `qemu+unix:///system?socket=${served.path}`,
      'event',
      '--all',
      '--loop',
      '--timeout',
      '3',
    ])
    let out = ''
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    const ended = new Promise((resolve) => child.once('close', resolve))
    const domain = { name: 'web', uuid: served.memory.add('other').uuid, id: 4 }
    const deadline = performance.now() + 2500
    while (!out.includes('block job') && performance.now() < deadline) {
      served.server.publish({ kind: 'lifecycle', domain, event: 3, detail: 0 })
      served.server.publish({ kind: 'reboot', domain })
      served.server.publish({ kind: 'blockJob', domain, disk: 'vda', path: '/srv/web.qcow2', type: 4, status: 3 })
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    child.kill()
    await ended
    expect(out).toContain("event 'lifecycle' for domain 'web': Suspended Paused")
    expect(out).toContain("event 'reboot' for domain 'web'")
    expect(out).toContain("event 'block-job' for domain 'web': Active Block Commit for /srv/web.qcow2 ready")
    expect(out).toContain("event 'block-job-2' for domain 'web': Active Block Commit for vda ready")
  })

  test('stays connected over many keepalive intervals on both sides', async () => {
    const child = spawn('virsh', ['-k', '1', '-K', '2', '-c', `qemu+unix:///system?socket=${served.path}`], {
      stdio: 'pipe',
    })
    let out = ''
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (out += chunk.toString()))
    const ended = new Promise((resolve) => child.once('close', resolve))
    child.stdin.write('hostname\n')
    await new Promise((resolve) => setTimeout(resolve, 4000))
    child.stdin.write('nodeinfo\nquit\n')
    await ended
    expect(out).toContain('host.example')
    expect(out).toContain('CPU model:')
    expect(out).not.toContain('error')
  }, 20_000)

  test('left nothing behind', async () => {
    expect(existsSync(served.path)).toBe(true)
    expect(served.internalErrors).toEqual([])
  })
})
