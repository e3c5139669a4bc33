import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { RunningDomain } from '../../src/driver/driver.ts'
import { FileWorldStore } from '../../src/testdriver/world-store.ts'
import { Fault } from '../../src/util/fault.ts'
import { DriverKit, layer, never, startRequest, uuid } from './testdriver-kit.ts'

const kinds = (kit: DriverKit) => kit.facts.map((fact) => fact.kind)

async function recorded(kit: DriverKit): Promise<RunningDomain> {
  const started = await kit.driver.start(startRequest({ vda: [2, 1] }), never)
  return { uuid, name: 'web', process: started.process, monitorPath: started.monitorPath }
}

describe('domains of the test driver', () => {
  test('a domain starts with its CPUs stopped, runs, is suspended, resumed and reset', async () => {
    const kit = new DriverKit().listen()
    await kit.driver.start(startRequest(), never)
    expect(await kit.driver.sample(uuid, never)).toMatchObject({ paused: true, cpuTimeNs: 0n })
    await kit.time.advance(1000)
    expect(await kit.driver.sample(uuid, never)).toMatchObject({ cpuTimeNs: 0n, balloonBytes: 268_435_456n })
    await kit.driver.resume(uuid, never)
    await kit.time.advance(1000)
    expect(await kit.driver.sample(uuid, never)).toMatchObject({ paused: false, cpuTimeNs: 100_000_000n })
    await kit.driver.suspend(uuid, never)
    await kit.driver.suspend(uuid, never)
    await kit.time.advance(1000)
    expect(await kit.driver.sample(uuid, never)).toMatchObject({ paused: true, cpuTimeNs: 100_000_000n })
    await kit.driver.resume(uuid, never)
    await kit.driver.reset(uuid, never)
    await kit.time.advance(0)
    expect(kinds(kit)).toEqual(['resumed', 'suspended', 'resumed', 'reset'])
  })

  test('start() refuses a running domain and an emulator that is not the one recorded', async () => {
    const kit = new DriverKit()
    kit.script.emulatorVersion = 2_000_000
    await expect(kit.driver.start(startRequest(), never)).rejects.toThrow(/Cannot start domain "web": its emulator was/)
    kit.script.emulatorVersion = 1_000_000
    await kit.driver.start(startRequest(), never)
    await expect(kit.driver.start(startRequest(), never)).rejects.toThrow('it is running, it must be shut off')
  })

  test('shutdown() ends the guest after a while in which its CPUs run, a reset calls it off', async () => {
    const kit = new DriverKit().listen()
    await kit.run()
    await kit.driver.shutdown(uuid, never)
    await kit.time.advance(199)
    await kit.driver.suspend(uuid, never)
    await kit.time.advance(10_000)
    expect(kinds(kit)).toEqual(['suspended'])
    await kit.driver.resume(uuid, never)
    await kit.driver.reset(uuid, never)
    await kit.time.advance(10_000)
    expect(kinds(kit)).toEqual(['suspended', 'resumed', 'reset'])
    await kit.driver.shutdown(uuid, never)
    await kit.time.advance(200)
    expect(kit.facts.slice(3)).toEqual([
      { kind: 'guestShutdown', uuid },
      { kind: 'ended', uuid, how: 'shutdown', detail: 'the guest powered down' },
    ])
    await expect(kit.driver.sample(uuid, never)).rejects.toMatchObject({ kind: 'operation_invalid' })
  })

  test('destroy() ends the process once and is content with one that is gone', async () => {
    const kit = new DriverKit().listen()
    await kit.run()
    await kit.driver.destroy(uuid, never)
    await kit.driver.destroy(uuid, never)
    await kit.time.advance(0)
    expect(kit.facts).toMatchObject([{ kind: 'ended', how: 'killed' }])
    expect(kit.time.plannedCount).toBe(0)
  })

  test('guests panic, crash, power off and are killed', async () => {
    const kit = new DriverKit().listen()
    for (const end of ['crash', 'kill', 'powerOff'] as const) {
      await kit.run()
      kit.driver.guests.panic(uuid)
      kit.driver.guests[end](uuid)
      await kit.time.advance(0)
    }
    expect(kit.facts).toMatchObject([{ kind: 'guestPanicked' }, { kind: 'guestShutdown' }, { how: 'shutdown' }])
  })

  test('snapshotDisks() puts overlays on all disks or on none', async () => {
    const kit = new DriverKit()
    await kit.run({ vda: [1], vdb: [2] })
    const vda = { target: 'vda', active: layer(1), overlay: layer(3) }
    const wrong = { target: 'vdb', active: layer(1), overlay: layer(4) }
    await expect(kit.driver.snapshotDisks(uuid, [vda, wrong], never)).rejects.toThrow(
      'Cannot snapshot disk "vdb" of domain "web": its active image is "/images/2.qcow2", not "/images/1.qcow2"',
    )
    expect(await kit.chain('vda')).toEqual([1])
    await kit.driver.snapshotDisks(uuid, [vda, { ...wrong, active: layer(2) }], never)
    expect(await kit.chain('vda')).toEqual([3, 1])
    expect(await kit.chain('vdb')).toEqual([4, 2])
    const again = { target: 'vda', active: layer(3), overlay: layer(4) }
    await expect(kit.driver.snapshotDisks(uuid, [again], never)).rejects.toThrow('is in use')
  })

  test('probe() and checkIdentity() tell of the one test emulator and of its replacement', async () => {
    const kit = new DriverKit()
    expect(await kit.driver.listEmulators()).toEqual(['test'])
    const probe = await kit.driver.probe('test', never)
    expect(probe).toMatchObject({ virtTypes: ['test'], machines: [{ name: 'test-machine', isDefault: true }] })
    expect(kit.driver.checkIdentity('test', probe.facts)).toBeNull()
    kit.script.emulatorVersion = 1_000_001
    expect(kit.driver.checkIdentity('test', probe.facts)).toMatchObject({ reason: 'emulator_changed' })
    expect(kit.driver.checkIdentity('/usr/bin/other', probe.facts)).toMatchObject({ reason: 'emulator_missing' })
    await expect(kit.driver.probe('/usr/bin/other', never)).rejects.toThrow('Cannot probe emulator "/usr/bin/other"')
  })
})

describe('a test driver whose daemon died', () => {
  test('reattach() finds a domain that ran on, with its job further than before', async () => {
    const kit = new DriverKit().listen()
    const domain = await recorded(kit)
    await kit.driver.startBlockJob(
      uuid,
      { kind: 'active_commit', jobId: 'job', target: 'vda', top: layer(2), base: layer(1), bytesPerSecond: 0n },
      never,
    )
    await kit.driver.detach()
    await kit.time.advance(60_000)
    const next = kit.restarted().listen()
    expect(await next.driver.reattach(domain, never)).toMatchObject({
      kind: 'running',
      state: 'prelaunch',
      jobs: [{ jobId: 'job', status: 'ready' }],
    })
    await next.driver.completeJob(uuid, 'job', never)
    await next.time.advance(10)
    expect(next.states()).toEqual(['waiting', 'pending'])
  })

  test('a detached driver reports nothing more', async () => {
    const kit = new DriverKit().listen()
    await kit.run()
    await kit.driver.shutdown(uuid, never)
    await kit.driver.detach()
    await kit.time.advance(60_000)
    expect(kit.facts).toEqual([])
    expect(kit.time.plannedCount).toBe(0)
  })

  test('reattach() tells what became of a domain that is gone', async () => {
    const kit = new DriverKit()
    const domain = await recorded(kit)
    const other = { ...domain, process: { ...domain.process, startTicks: 1n } }
    expect(await kit.restarted().driver.reattach(other, never)).toEqual({ kind: 'gone', why: 'process_is_another' })
    expect(await kit.restarted('boot-2').driver.reattach(domain, never)).toEqual({ kind: 'gone', why: 'host_rebooted' })
    await kit.driver.destroy(uuid, never)
    expect(await kit.restarted().driver.reattach(domain, never)).toEqual({ kind: 'gone', why: 'process_gone' })
  })

  test('findUnrecorded() finds a start whose outcome was not recorded', async () => {
    const kit = new DriverKit()
    expect(await kit.driver.findUnrecorded({ uuid, name: 'web' }, never)).toBeNull()
    const domain = await recorded(kit)
    expect(await kit.restarted().driver.findUnrecorded({ uuid, name: 'web' }, never)).toEqual(domain)
  })

  const directory = mkdtempSync(join(tmpdir(), 'chronovisor-world-'))
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  test('FileWorldStore keeps domains, jobs and images for the next daemon', async () => {
    const path = join(directory, 'world.json')
    const kit = new DriverKit({ store: new FileWorldStore(path) })
    const domain = await recorded(kit)
    await kit.images.readChain({ given: [{ path: '/images/base.raw', format: 'raw' }], terminated: false }, never)
    const before = kit.store.load()
    const next = new DriverKit({ store: new FileWorldStore(path) })
    expect(next.store.load()).toEqual(before)
    expect(await next.driver.reattach(domain, never)).toMatchObject({ kind: 'running' })
    expect(await next.images.stat('/images/base.raw')).not.toBeNull()
  })

  test.each([
    ['not JSON', 'not valid JSON'],
    ['{"format":"chronovisor test world 1"}', '"bootId"'],
    ['{"format":"something else"}', '"format"'],
  ])('FileWorldStore refuses %j, naming the file', (text, why) => {
    const path = join(directory, 'broken.json')
    writeFileSync(path, text)
    expect(() => new DriverKit({ store: new FileWorldStore(path) })).toThrow(
      `Cannot read the test driver's state "${path}"`,
    )
    expect(() => new DriverKit({ store: new FileWorldStore(path) })).toThrow(why)
    expect(readFileSync(path, 'utf8')).toBe(text)
  })
})

describe('a disturbed test driver', () => {
  test('failNext() fails the next such request once and changes nothing', async () => {
    const kit = new DriverKit()
    await kit.run({ vda: [1] })
    kit.script.failNext('snapshotDisks', new Fault('operation_failed', 'planned'))
    const disks = [{ target: 'vda', active: layer(1), overlay: layer(2) }]
    await expect(kit.driver.snapshotDisks(uuid, disks, never)).rejects.toThrow('planned')
    expect(await kit.chain()).toEqual([1])
    await kit.driver.snapshotDisks(uuid, disks, never)
    expect(await kit.chain()).toEqual([2, 1])
  })

  test('failNext() for one domain leaves another alone', async () => {
    const kit = new DriverKit()
    await kit.run()
    kit.script.failNext('suspend', new Fault('operation_failed', 'planned'), 'another')
    await kit.driver.suspend(uuid, never)
  })

  test('delayNext() holds a request back until its time or its signal', async () => {
    const kit = new DriverKit()
    await kit.run()
    kit.script.delayNext('suspend', 100)
    const suspended = kit.driver.suspend(uuid, never)
    await kit.time.advance(99)
    expect(await kit.driver.sample(uuid, never)).toMatchObject({ paused: false })
    await kit.time.advance(1)
    await suspended
    expect(await kit.driver.sample(uuid, never)).toMatchObject({ paused: true })
    kit.script.delayNext('resume', 100)
    await expect(kit.driver.resume(uuid, AbortSignal.abort())).rejects.toMatchObject({ kind: 'operation_aborted' })
  })

  test('a silent monitor lets every request wait for its signal, is reported once, and a kill still works', async () => {
    const kit = new DriverKit().listen()
    await kit.run()
    kit.script.silence(uuid, 42)
    const limit = new AbortController()
    const requests = Promise.allSettled([
      kit.driver.suspend(uuid, limit.signal),
      kit.driver.sample(uuid, limit.signal),
      kit.driver.queryJobs(uuid, limit.signal),
    ])
    await kit.time.advance(60_000)
    expect(kit.facts).toEqual([{ kind: 'monitorSilent', uuid, sinceMs: 42 }])
    limit.abort(new Fault('operation_timeout', 'too long'))
    expect(await requests).toMatchObject(Array(3).fill({ status: 'rejected', reason: { message: 'too long' } }))
    kit.script.endSilence(uuid)
    expect(await kit.driver.sample(uuid, never)).toMatchObject({ paused: false })
    kit.script.silence(uuid, 43)
    await kit.driver.destroy(uuid, never)
    await kit.time.advance(0)
    expect(kinds(kit)).toEqual(['monitorSilent', 'ended'])
  })

  test('no fact is lost while nobody reads: requests are refused and time stands still', async () => {
    const kit = new DriverKit({ maxWaitingFacts: 2 })
    await kit.driver.start(startRequest({ vda: [2, 1] }), never)
    await kit.driver.resume(uuid, never)
    const start = {
      kind: 'active_commit',
      jobId: 'job',
      target: 'vda',
      top: layer(2),
      base: layer(1),
      bytesPerSecond: 0n,
    } as const
    await kit.driver.startBlockJob(uuid, start, never)
    await expect(kit.driver.suspend(uuid, never)).rejects.toMatchObject({ kind: 'resource_busy' })
    await kit.time.advance(60_000)
    expect(await kit.jobStatus()).toBe('created')
    kit.listen()
    await kit.time.advance(60_000)
    expect(kinds(kit)[0]).toBe('resumed')
    expect(kit.states()).toEqual(['created', 'running', 'ready'])
  })
})
