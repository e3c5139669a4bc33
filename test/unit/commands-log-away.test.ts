import { describe, expect, test } from 'vitest'
import { reconcileAll } from '../../src/commands/reconcile.ts'
import {
  callerOf,
  commitOf,
  definitionOf,
  type FakeDaemon,
  FakeMachine,
  operator,
  snapshotOf,
} from '../support/fake-host.ts'
import { expectSettled } from '../support/settled.ts'

/** A daemon with the domain `web`, running on an overlay where the row wants it so. */
async function booted(isRunning: boolean): Promise<{ machine: FakeMachine; daemon: FakeDaemon; uuid: string }> {
  const machine = new FakeMachine()
  const daemon = machine.boot()
  const { uuid } = await daemon.commands.defineDomain(operator, { xml: definitionOf('web'), validate: false })
  if (isRunning) {
    await daemon.commands.startDomain(operator, { uuid, paused: false })
    await daemon.commands.createSnapshot(operator, snapshotOf(uuid, 's1'))
    await machine.time.advance(1)
  }
  return { machine, daemon, uuid }
}

type Act = (daemon: FakeDaemon, uuid: string) => Promise<unknown>
interface Row {
  readonly act: Act
  readonly running: boolean
  /** The outcome that cannot be recorded. */
  readonly lost: string
  readonly says: string
  /** What stands after everything is settled. */
  readonly state: string
}

const start: Act = async ({ commands }, uuid) => await commands.startDomain(operator, { uuid, paused: false })
const rows: Readonly<Record<string, Row>> = {
  start: { act: start, running: false, lost: 'DomainStarted', says: 'the log is unavailable', state: 'shutoff' },
  suspend: {
    act: async ({ commands }, uuid) => await commands.suspendDomain(operator, uuid),
    running: true,
    lost: 'DomainSuspended',
    says: 'It was done (DomainSuspended), but could not be recorded',
    state: 'paused',
  },
  resume: {
    act: async ({ commands }, uuid) => {
      await commands.suspendDomain(operator, uuid)
      await commands.resumeDomain(operator, uuid)
    },
    running: true,
    lost: 'DomainResumed',
    says: 'It was done (DomainResumed), but could not be recorded',
    state: 'running',
  },
  reset: {
    act: async ({ commands }, uuid) => await commands.resetDomain(operator, uuid),
    running: true,
    lost: 'DomainReset',
    says: 'It was done (DomainReset), but could not be recorded',
    state: 'running',
  },
  destroy: {
    act: async ({ commands }, uuid) => await commands.destroyDomain(operator, { uuid, graceful: false }),
    running: true,
    lost: 'DomainDestroyed',
    says: 'could not be recorded',
    state: 'shutoff',
  },
  snapshot: {
    act: async ({ commands }, uuid) => await commands.createSnapshot(operator, snapshotOf(uuid, 's2')),
    running: true,
    lost: 'SnapshotCreated',
    says: 'It was done (SnapshotCreated), but could not be recorded',
    state: 'running',
  },
}

describe('a log that goes away between an act and its outcome', () => {
  test.each(Object.entries(rows))('%s says what was done, and is settled when the log is back', async (name, row) => {
    const { machine, daemon, uuid } = await booted(row.running)
    machine.log.failOn(row.lost)
    // Everything else that the daemon could record instead fails too.
    const outcome = row.act(daemon, uuid)
    await expect(outcome).rejects.toThrow(row.says)
    await expect(outcome).rejects.toMatchObject({ kind: 'log_unavailable' })
    // A start that could not be recorded was undone, and that could be recorded.
    expect([...daemon.host.unsettled]).toEqual(name === 'start' ? [] : [uuid])
    machine.log.comeBack()
    await reconcileAll(daemon.host)
    await machine.time.advance(1_000)
    expect(daemon.host.reads.byUuid(uuid)?.run?.state).toBe(row.state)
    daemon.notes.length = 0
    await expectSettled(daemon)
  })

  test.each(Object.entries(rows))(
    '%s changes nothing when already the intent cannot be recorded',
    async (name, row) => {
      const { machine, daemon, uuid } = await booted(row.running)
      if (name === 'resume') await daemon.commands.suspendDomain(operator, uuid)
      await machine.time.advance(1)
      const before = {
        rows: daemon.models.snapshot(),
        machines: daemon.world.machines,
        images: machine.store.load()?.images,
      }
      machine.log.failNext(1_000)
      const act: Act = name === 'resume' ? async ({ commands }) => await commands.resumeDomain(operator, uuid) : row.act
      await expect(act(daemon, uuid)).rejects.toMatchObject({ kind: 'log_unavailable', message: /nothing was changed/ })
      machine.log.comeBack()
      expect(daemon.models.snapshot()).toEqual(before.rows)
      expect(daemon.world.machines.map((one) => [one.cpus, one.disks])).toEqual(
        before.machines.map((one) => [one.cpus, one.disks]),
      )
      await expectSettled(daemon)
    },
  )

  test('a pivot that cannot be recorded is given up: the guest does not wait for a database', async () => {
    const { machine, daemon, uuid } = await booted(true)
    machine.log.failOn('BlockJobPivoting')
    await daemon.commands.commitBlocks(callerOf(1000, { onReady: 'pivot' }), commitOf(uuid))
    await machine.time.advance(60_000)
    expect(machine.log.types().slice(-1)).toEqual(['BlockJobFailed'])
    expect(daemon.chain(uuid)).toEqual(['/images/web.s1', '/images/web.qcow2'])
    expect(await daemon.hypervisorChain(uuid)).toEqual(daemon.chain(uuid))
    machine.log.comeBack()
    daemon.notes.length = 0
    await expectSettled(daemon)
  })

  test('the outcome of a pivot is recorded when the log is back, and only then does the hypervisor forget the job', async () => {
    const { machine, daemon, uuid } = await booted(true)
    machine.log.failOn('BlockJobPivoted')
    await daemon.commands.commitBlocks(callerOf(1000, { onReady: 'pivot' }), commitOf(uuid))
    await machine.time.advance(60_000)
    expect(daemon.world.machine(uuid)?.jobs.map((job) => job.status)).toEqual(['concluded'])
    expect([...daemon.host.unsettled]).toEqual([uuid])
    machine.log.comeBack()
    await reconcileAll(daemon.host)
    await machine.time.advance(0)
    expect(daemon.chain(uuid)).toEqual(['/images/web.qcow2'])
    await expectSettled(daemon)
  })

  test('the end of a guest that nobody could record is settled when the log is back', async () => {
    const { machine, daemon, uuid } = await booted(true)
    machine.log.failNext(1_000)
    daemon.driver.guests.powerOff(uuid)
    await machine.time.advance(0)
    expect([...daemon.host.unsettled]).toEqual([uuid])
    machine.log.comeBack()
    await reconcileAll(daemon.host)
    expect(daemon.host.reads.byUuid(uuid)?.active).toBe(false)
    daemon.notes.length = 0
    await expectSettled(daemon)
  })

  test('reads go on', async () => {
    const { machine, daemon, uuid } = await booted(true)
    machine.log.failNext(1_000)
    expect(daemon.host.reads.byUuid(uuid)?.run?.state).toBe('running')
    expect(daemon.chain(uuid)).toHaveLength(2)
  })
})
