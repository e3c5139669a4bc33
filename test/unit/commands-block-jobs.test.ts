import { describe, expect, test } from 'vitest'
import { reconcileAll } from '../../src/commands/reconcile.ts'
import { decodeFact } from '../../src/events/catalogue.ts'
import { Fault } from '../../src/util/fault.ts'
import { callerOf, commitOf, definitionOf, FakeMachine, operator, snapshotOf } from '../support/fake-host.ts'
import { expectSettled } from '../support/settled.ts'
import { withOverlays } from '../support/with-overlays.ts'

const base = '/images/web.qcow2'
const pivoting = callerOf(1000, { onReady: 'pivot' })

describe('block jobs', () => {
  test('that are cancelled leave the chain, and name the images that are no longer valid', async () => {
    const { machine, daemon, commands, uuid } = await withOverlays(['s1', 's2'])
    await commands.commitBlocks(operator, commitOf(uuid))
    await machine.time.advance(1)
    const cancelled = commands.endBlockJob(operator, { uuid, disk: 'vda', pivot: false, wait: true })
    await machine.time.advance(1_000)
    await cancelled
    expect(daemon.chain(uuid)).toEqual(['/images/web.s2', '/images/web.s1', base])
    const last = machine.log.events.findLast((event) => event.type === 'BlockJobCancelled')
    expect(last === undefined ? null : decodeFact(last.type, last).data).toMatchObject({ invalid: ['/images/web.s1'] })
    await expectSettled(daemon)
  })

  test('of which an error ends one leave the chain', async () => {
    const { machine, daemon, commands, uuid } = await withOverlays(['s1'])
    const jobId = await commands.commitBlocks(pivoting, commitOf(uuid))
    daemon.driver.guests.failJob(uuid, jobId, 'No space left on device')
    await machine.time.advance(60_000)
    expect(daemon.rowsOf(uuid)).toMatchObject([{ state: 'failed', error: 'No space left on device' }])
    expect(daemon.chain(uuid)).toEqual(['/images/web.s1', base])
    await expectSettled(daemon)
  })

  test('pivot once: a second request, or a cancel afterwards, finds no job', async () => {
    const { machine, daemon, commands, uuid } = await withOverlays(['s1'])
    await commands.commitBlocks(operator, commitOf(uuid))
    const end = async (pivot: boolean) => await commands.endBlockJob(operator, { uuid, disk: 'vda', pivot, wait: true })
    const both = Promise.allSettled([end(true), end(true)])
    await machine.time.advance(60_000)
    expect((await both).map((one) => one.status)).toEqual(['fulfilled', 'fulfilled'])
    expect(machine.log.types().filter((type) => type === 'BlockJobPivotRequested')).toHaveLength(1)
    await expect(end(false)).rejects.toThrow('disk vda does not have an active block job')
    await expectSettled(daemon)
  })

  test('that are cancelled at any moment end as pivoted or as cancelled, and the chain is the one that the hypervisor has', async () => {
    const ends = new Set<string | undefined>()
    for (let step = 0; step < 60; step++) {
      const { machine, daemon, commands, uuid } = await withOverlays(['s1'])
      await commands.commitBlocks(pivoting, commitOf(uuid))
      // The job is ready at 250 ms; a step of its end takes 5 ms and many turns of promises.
      await machine.time.advance(240 + Math.floor(step / 3) * 2)
      const passing = machine.time.advance(60_000)
      for (let at = 0; at < (step % 3) * 12; at++) await Promise.resolve()
      const cancel = commands.endBlockJob(operator, { uuid, disk: 'vda', pivot: false, wait: false })
      await Promise.allSettled([cancel, passing])
      await machine.time.advance(60_000)
      expect(await daemon.hypervisorChain(uuid), `step ${step}`).toEqual(daemon.chain(uuid))
      const [row] = daemon.rowsOf(uuid)
      expect(daemon.chain(uuid).length, `step ${step}: ${row?.state}`).toBe(row?.state === 'pivoted' ? 1 : 2)
      ends.add(row?.state)
      await expectSettled(daemon)
    }
    expect(ends).toEqual(new Set(['cancelled', 'pivoted']))
  })

  test('that the hypervisor takes although its answer came too late are carried on', async () => {
    const { machine, daemon, commands, uuid } = await withOverlays(['s1'])
    const { driver } = daemon
    const take = driver.startBlockJob.bind(driver)
    Object.defineProperty(daemon.driver, 'startBlockJob', {
      configurable: true,
      value: async (...args: Parameters<typeof take>) => {
        await take(...args)
        throw new Fault('operation_timeout', 'Cannot start the job: no answer')
      },
    })
    await expect(commands.commitBlocks(pivoting, commitOf(uuid))).rejects.toThrow('no answer')
    await machine.time.advance(60_000)
    expect(daemon.chain(uuid)).toEqual([base])
    await reconcileAll(daemon.host)
    await expectSettled(daemon)
  })

  test('are looked at once more, not once for everybody, by many who ask at the same time', async () => {
    const { machine, daemon, commands, uuid } = await withOverlays(['s1'])
    const jobId = await commands.commitBlocks(operator, commitOf(uuid))
    await machine.time.advance(60_000)
    let looks = 0
    const query = daemon.driver.queryJobs.bind(daemon.driver)
    daemon.driver.queryJobs = async (...args) => {
      looks++
      return await query(...args)
    }
    await Promise.all(Array.from({ length: 50 }, async () => await daemon.runner.noticed(uuid, jobId)))
    expect(looks).toBe(2)
    await daemon.runner.noticed(uuid, jobId)
    expect(looks).toBe(3)
  })

  test('leave an event at each change of phase, and none of their progress, however often they are looked at', async () => {
    const { machine, daemon, commands, uuid } = await withOverlays(['s1'])
    const jobId = await commands.commitBlocks(operator, commitOf(uuid))
    const own = () => machine.log.types().filter((type) => type.startsWith('BlockJob'))
    for (let at = 0; at < 200; at++) {
      await machine.time.advance(1)
      await daemon.runner.noticed(uuid, jobId)
    }
    expect(own()).toEqual(['BlockJobRequested', 'BlockJobStarted'])
    await machine.time.advance(60_000)
    for (let at = 0; at < 200; at++) await daemon.runner.noticed(uuid, jobId)
    expect(own()).toEqual(['BlockJobRequested', 'BlockJobStarted', 'BlockJobReady'])
    const speed = async (bytesPerSecond: bigint) =>
      await commands.setBlockJobSpeed(operator, { uuid, disk: 'vda', bytesPerSecond })
    for (const bytesPerSecond of [0n, 0n, 4096n, 4096n, 4096n, 0n]) await speed(bytesPerSecond)
    expect(own().slice(3)).toEqual(['BlockJobSpeedChanged', 'BlockJobSpeedChanged'])
  })

  test('that the hypervisor refuses end as failed at once', async () => {
    const { machine, daemon, commands, uuid } = await withOverlays(['s1'])
    machine.script.failNext('startBlockJob', new Fault('operation_failed', 'Cannot start the job: no'))
    await expect(commands.commitBlocks(operator, commitOf(uuid))).rejects.toThrow('Cannot start the job: no')
    expect(daemon.rowsOf(uuid)).toMatchObject([{ state: 'failed' }])
    await expectSettled(daemon)
  })

  test('two of one disk are refused, two of two disks run side by side', async () => {
    const machine = new FakeMachine()
    const daemon = machine.boot()
    const { commands } = daemon
    const disks = { vda: base, vdb: '/images/data.qcow2' }
    const { uuid } = await commands.defineDomain(operator, { xml: definitionOf('web', { disks }), validate: false })
    await commands.startDomain(operator, { uuid, paused: false })
    await commands.createSnapshot(operator, snapshotOf(uuid, 's1'))
    await Promise.all([
      commands.commitBlocks(pivoting, commitOf(uuid)),
      commands.commitBlocks(pivoting, commitOf(uuid, { disk: 'vdb' })),
    ])
    await expect(commands.commitBlocks(operator, commitOf(uuid))).rejects.toThrow(
      'disk "vda" already has an active block job',
    )
    await machine.time.advance(60_000)
    expect([daemon.chain(uuid), daemon.chain(uuid, 'vdb')]).toEqual([[base], ['/images/data.qcow2']])
    await expectSettled(daemon)
    const definition = await daemon.host.texts.definition(
      daemon.host.reads.byUuid(uuid)?.definition?.definition_sha256 ?? '',
    )
    expect(definition.devices.disks.map((disk) => disk.source?.file)).toEqual([base, '/images/data.qcow2'])
  })
})
