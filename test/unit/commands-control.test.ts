import { expect, test } from 'vitest'
import { commitOf, definitionOf, type FakeDaemon, FakeMachine, operator, snapshotOf } from '../support/fake-host.ts'
import { decodeMetadata } from '../../src/events/metadata.ts'
import { Fault } from '../../src/util/fault.ts'

/** A running domain with one snapshot. */
async function running(): Promise<{
  readonly machine: FakeMachine
  readonly daemon: FakeDaemon
  readonly uuid: string
}> {
  const machine = new FakeMachine()
  const daemon = machine.boot()
  const { uuid } = await daemon.commands.defineDomain(operator, { xml: definitionOf('web'), validate: false })
  await daemon.commands.startDomain(operator, { uuid, paused: false })
  await daemon.commands.createSnapshot(operator, snapshotOf(uuid, 's1'))
  await machine.time.advance(10)
  return { machine, daemon, uuid }
}

test('checkDomains() gives both chains and the jobs of every running domain', async () => {
  const { machine, daemon, uuid } = await running()
  await daemon.commands.defineDomain(operator, { xml: definitionOf('off'), validate: false })
  const jobId = await daemon.commands.commitBlocks(operator, commitOf(uuid))
  await machine.time.advance(60_000)
  const chain = ['/images/web.s1', '/images/web.qcow2']
  expect(await daemon.commands.checkDomains(operator)).toEqual([
    { uuid, name: 'web', error: null, disks: [{ disk: 'vda', recorded: chain, found: chain }], jobs: [jobId] },
  ])
})

test('checkDomains() tells of a hypervisor with another chain, and of one that does not answer', async () => {
  const { daemon, uuid } = await running()
  const { driver } = daemon.host
  const chain = { target: 'vda', layers: [{ node: 'layer-1', path: '/images/web.qcow2', format: 'qcow2' }] }
  Object.assign(driver, { queryChains: async () => [chain] })
  expect((await daemon.commands.checkDomains(operator))[0]?.disks).toEqual([
    { disk: 'vda', recorded: ['/images/web.s1', '/images/web.qcow2'], found: ['/images/web.qcow2'] },
  ])
  Object.assign(driver, {
    queryChains: async () => Promise.reject(new Fault('operation_timeout', 'the monitor is silent')),
  })
  expect(await daemon.commands.checkDomains(operator)).toMatchObject([
    { uuid, error: 'the monitor is silent', disks: [] },
  ])
})

test('checkDomains() leaves a chain out that a job is about to change', async () => {
  const { daemon, uuid } = await running()
  Object.assign(daemon.host.reads, { jobs: () => [{ disk: 'vda', state: 'pivoting' }] })
  expect((await daemon.commands.checkDomains(operator))[0]).toMatchObject({
    uuid,
    disks: [{ disk: 'vda', found: null }],
  })
})

test('forgetCapabilities() throws valid versions away, once, by the request of the caller', async () => {
  const { daemon, uuid } = await running()
  const [before] = daemon.host.reads.emulators()
  const caller = { ...operator, procedure: 'CAPS_FORGET', reason: 'new firmware' }
  expect(await daemon.commands.forgetCapabilities(caller, { binary: null })).toBe(1)
  expect(daemon.host.reads.emulators()).toMatchObject([
    { state: 'invalidated', invalidated_reason: 'operator_request', invalidated_was: before?.caps_id },
  ])
  const event = daemon.machine.log.events.at(-1)
  expect(event?.type).toBe('EmulatorInvalidated')
  expect(decodeMetadata(event?.meta ?? Buffer.alloc(0))).toMatchObject({
    procedure: 'CAPS_FORGET',
    reason: 'new firmware',
  })
  expect(await daemon.commands.forgetCapabilities(caller, { binary: null })).toBe(0)

  await daemon.commands.destroyDomain(operator, { uuid, graceful: false })
  await daemon.commands.startDomain(operator, { uuid, paused: false })
  expect(daemon.host.reads.emulators()).toMatchObject([{ state: 'valid', caps_id: before?.caps_id }])
})

test('forgetCapabilities() refuses an emulator without a valid version, and says what is known', async () => {
  const { daemon } = await running()
  const binary = daemon.host.reads.emulators()[0]?.binary_path ?? ''
  await expect(daemon.commands.forgetCapabilities(operator, { binary: '/usr/bin/none' })).rejects.toThrow(
    `Cannot forget the capabilities of "/usr/bin/none": it was never probed, known are "${binary}"`,
  )
  await daemon.commands.forgetCapabilities(operator, { binary })
  await expect(daemon.commands.forgetCapabilities(operator, { binary })).rejects.toThrow(
    'it is invalidated, it must be valid',
  )
  expect(daemon.machine.log.events.at(-1)?.type).toBe('CommandRefused')
})
