import { kill } from 'node:process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DiskChain, RunningDomain, StartRequest } from '../../src/driver/driver.ts'
import { guestWriteCount, makeGuestDisk, verifyGuestWrites } from '../support/guest-disk.ts'
import { diskXml, never, QemuKit, smallXml } from '../support/qemu-kit.ts'
import { requireTool } from '../support/require-tool.ts'

const present = requireTool('qemu-system-x86')
const kvm = requireTool('kvm')

describe.skipIf(!present)('QemuDriver with real QEMU', () => {
  let kit: QemuKit
  let next = 0

  beforeAll(async () => {
    kit = await QemuKit.open()
  })
  afterAll(async () => {
    await kit[Symbol.asyncDispose]()
  })

  async function guest({
    pace = 'slow',
    type = 'qemu',
    devices = '',
  }: {
    pace?: 'slow' | 'fast' | 'idle'
    type?: string
    devices?: string
  } = {}): Promise<StartRequest> {
    next += 1
    const name = `guest${next}`
    const uuid = `00000000-0000-4000-8000-${String(next).padStart(12, '0')}`
    const path = kit.image(`${name}.qcow2`)
    await makeGuestDisk(path, { pace })
    const disks: DiskChain[] = [{ target: 'vda', readOnly: false, layers: [{ index: 1, path, format: 'qcow2' }] }]
    return await kit.request(smallXml({ name, uuid, type, devices: diskXml(path) + devices }), disks)
  }
  const diskOf = (request: StartRequest): string => request.disks[0]?.layers[0]?.path ?? ''
  const booted = async (request: StartRequest): Promise<void> => {
    for (let tries = 0; tries < 200; tries += 1) {
      const { disks } = await kit.driver.sample(request.uuid, never)
      if ((disks[0]?.writeRequests ?? 0n) > 4n) return
      await sleep(50)
    }
    throw new Error('the guest does not write')
  }

  test('start() runs the guest stopped until resume(), as the QEMU user, sandboxed, in a session of its own', async () => {
    const request = await guest()
    const running = await kit.start(request, { paused: true })
    const { pid } = running.process
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    if (kit.user !== null) {
      expect(status).toMatch(new RegExp(`^Uid:(\\s+${kit.user.uid}){4}$`, 'm'))
      expect(status).toMatch(new RegExp(`^Gid:(\\s+${kit.user.gid}){4}$`, 'm'))
      expect(status).toMatch(/^Groups:\s*$/m)
    }
    expect(status).toMatch(/^NoNewPrivs:\s+1$/m)
    expect(status).toMatch(/^Seccomp:\s+2$/m)
    const [, , , , session] = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '- - ').split(' ')
    expect(Number(session)).toBe(pid)
    expect((await kit.driver.sample(request.uuid, never)).paused).toBe(true)
    await kit.driver.resume(request.uuid, never)
    await booted(request)
    expect((await kit.driver.sample(request.uuid, never)).paused).toBe(false)
    await kit.driver.destroy(request.uuid, never)
    expect(kit.processes.isAlive(running.process)).toBe(false)
    expect(kit.seen.filter((fact) => fact.kind === 'ended' && fact.uuid === request.uuid)).toEqual([])
  })

  test('suspend(), resume() and reset() come back as facts in their order', async () => {
    const request = await guest()
    await kit.start(request)
    await booted(request)
    const since = kit.seen.length
    await kit.driver.suspend(request.uuid, never)
    await kit.driver.resume(request.uuid, never)
    await kit.driver.reset(request.uuid, never)
    await kit.fact((fact) => fact.kind === 'reset' && fact.uuid === request.uuid, { since })
    const kinds = kit.seen
      .slice(since)
      .filter((fact) => fact.uuid === request.uuid)
      .map(({ kind }) => kind)
    expect(kinds).toEqual(['suspended', 'resumed', 'reset'])
    await kit.driver.destroy(request.uuid, never)
  })

  test('shutdown() reaches the guest, which powers off with all its writes on the disk', async () => {
    const request = await guest({ pace: 'fast' })
    await kit.start(request)
    await booted(request)
    await kit.driver.shutdown(request.uuid, never)
    const ended = await kit.fact((fact) => fact.kind === 'ended' && fact.uuid === request.uuid)
    expect(ended).toMatchObject({ how: 'shutdown' })
    const writes = await verifyGuestWrites(diskOf(request))
    expect(writes.count).toBeGreaterThan(1)
    expect(writes.lost).toEqual([])
    await expect(kit.driver.suspend(request.uuid, never)).rejects.toMatchObject({ kind: 'operation_invalid' })
  })

  test('a QEMU killed by somebody is reported once, and as killed', async () => {
    const request = await guest()
    const { process: identity } = await kit.start(request)
    kill(identity.pid, 'SIGKILL')
    await kit.fact((fact) => fact.kind === 'ended' && fact.uuid === request.uuid)
    await sleep(100)
    const ends = kit.seen.filter((fact) => fact.kind === 'ended' && fact.uuid === request.uuid)
    expect(ends).toEqual([
      { kind: 'ended', uuid: request.uuid, how: 'killed', detail: 'its process ended with signal SIGKILL' },
    ])
  })

  test.skipIf(!kvm)('a kvm domain runs on KVM', async () => {
    const request = await guest({ type: 'kvm' })
    const running = await kit.start(request)
    expect(running.virtType).toBe('kvm')
    await kit.driver.destroy(request.uuid, never)
  })

  test('a start that QEMU refuses says what QEMU wrote and leaves nothing behind', async () => {
    const request = await guest()
    const broken = {
      ...request,
      disks: [
        {
          target: 'vda',
          readOnly: false,
          layers: [{ index: 1, path: kit.image('absent.qcow2'), format: 'qcow2' as const }],
        },
      ],
    }
    await expect(kit.driver.start(broken, never)).rejects.toThrow(
      /^Cannot start "guest\d+": .*absent\.qcow2.*No such file/,
    )
    expect(
      kit.processes
        .list()
        .filter((pid) => kit.processes.commandLine(pid).includes(request.uuid) && kit.processes.find(pid) !== null),
    ).toEqual([])
    const running = await kit.start(request)
    expect(running.process.pid).toBeGreaterThan(0)
    await kit.driver.destroy(request.uuid, never)
  })

  test('a binary other than the probed one is ended before it runs', async () => {
    const request = await guest()
    await kit.lend(request)
    const other = { ...request, identity: { ...request.identity, inode: 1n, sha256: 'f'.repeat(64) } }
    await expect(kit.driver.start(other, never)).rejects.toMatchObject({ kind: 'operation_aborted' })
    expect(await guestWriteCount(diskOf(request))).toBe(0)
    expect(await kit.driver.findUnrecorded(request, never)).toBeNull()
  })

  describe('found again by another driver', () => {
    let request: StartRequest
    let running: RunningDomain

    beforeAll(async () => {
      request = await guest()
      running = await kit.start(request)
      await booted(request)
    })

    test('reattach() gives the state, and changes work as before', async () => {
      await kit.driver.detach()
      const second = kit.anotherDriver()
      expect(await second.reattach(running, never)).toEqual({ kind: 'running', state: 'running', jobs: [] })
      await second.suspend(request.uuid, never)
      await second.detach()
      expect(await kit.driver.reattach(running, never)).toEqual({ kind: 'running', state: 'paused', jobs: [] })
    })

    test('findUnrecorded() finds the process by its arguments and its monitor', async () => {
      await kit.driver.detach()
      const found = await kit.anotherDriver().findUnrecorded(request, never)
      expect(found).toEqual({
        uuid: running.uuid,
        name: running.name,
        process: running.process,
        monitorPath: running.monitorPath,
      })
      expect(
        await kit.driver.findUnrecorded({ uuid: '00000000-0000-4000-8000-00000000ffff', name: 'x' }, never),
      ).toBeNull()
      await expect(kit.anotherDriver().start(request, never)).rejects.toThrow(/process \d+ runs it already/)
      await kit.driver.reattach(running, never)
    })

    test.each([
      [
        'another boot',
        (domain: RunningDomain) => ({ ...domain, process: { ...domain.process, bootId: 'other' } }),
        'host_rebooted',
      ],
      [
        'a pid that nobody has',
        (domain: RunningDomain) => ({ ...domain, process: { ...domain.process, pid: 4_194_303 } }),
        'process_gone',
      ],
      [
        'a reused pid',
        (domain: RunningDomain) => ({ ...domain, process: { ...domain.process, startTicks: 1n } }),
        'process_is_another',
      ],
      [
        'the process of another domain',
        (domain: RunningDomain) => ({ ...domain, uuid: '00000000-0000-4000-8000-00000000eeee' }),
        'process_is_another',
      ],
    ])('reattach() touches nothing when it finds %s', async (_what, change, why) => {
      const second = kit.anotherDriver()
      expect(await second.reattach(change(running), never)).toEqual({ kind: 'gone', why })
      expect(kit.processes.isAlive(running.process)).toBe(true)
    })

    test('a QEMU stopped by SIGSTOP is silent within its limits, comes back by itself, and can be destroyed', async () => {
      const others = await guest()
      await kit.start(others)
      kill(running.process.pid, 'SIGSTOP')
      const since = kit.seen.length
      const startedMs = performance.now()
      await expect(kit.driver.sample(request.uuid, never)).rejects.toMatchObject({ kind: 'operation_timeout' })
      expect(performance.now() - startedMs).toBeLessThan(3_000)
      await kit.fact((fact) => fact.kind === 'monitorSilent' && fact.uuid === request.uuid, { since })
      expect((await kit.driver.sample(others.uuid, never)).paused).toBe(false)

      await kit.driver.detach()
      expect(await kit.driver.reattach(running, never)).toEqual({ kind: 'silent', why: 'its process is stopped' })
      await expect(kit.driver.resume(request.uuid, never)).rejects.toMatchObject({ kind: 'operation_timeout' })
      const beforeBack = kit.seen.length
      kill(running.process.pid, 'SIGCONT')
      await kit.fact((fact) => fact.kind === 'suspended' && fact.uuid === request.uuid, { since: beforeBack })
      await kit.driver.resume(request.uuid, never)

      kill(running.process.pid, 'SIGSTOP')
      const destroyMs = performance.now()
      await kit.driver.destroy(request.uuid, never)
      expect(performance.now() - destroyMs).toBeLessThan(1_500)
      expect(kit.processes.isAlive(running.process)).toBe(false)
    })
  })

  test('a log of each run names the command and keeps the last words of QEMU', async () => {
    const request = await guest()
    const { process: identity } = await kit.start(request)
    kill(identity.pid, 'SIGTERM')
    const ended = await kit.fact((fact) => fact.kind === 'ended' && fact.uuid === request.uuid)
    expect(ended).toMatchObject({ how: 'killed', detail: 'QEMU ended: host-signal' })
    const log = await readFile(join(kit.directory, 'log', `${request.name}.log`), 'utf8')
    expect(log).toMatch(/starting \/usr\/bin\/qemu-system-x86_64 -name guest=/)
    expect(log).toMatch(/terminating on signal 15/)
  })
})
