import { describe, expect, test } from 'vitest'
import { type CrashPoint, crashPoints } from '../../src/commands/crash-points.ts'
import { commitOf, definitionOf, type FakeDaemon, FakeMachine, operator, snapshotOf } from '../support/fake-host.ts'
import { expectSettled } from '../support/settled.ts'

/** What is under way when the daemon dies at a point, begun on a defined domain `web` that runs where the row says so. */
interface Story {
  readonly running: boolean
  readonly act: (daemon: FakeDaemon, uuid: string) => Promise<unknown>
}

const commit: Story['act'] = async ({ commands, machine }, uuid) => {
  await commands.commitBlocks(operator, commitOf(uuid))
  await machine.time.advance(60_000)
  await commands.endBlockJob(operator, { uuid, disk: 'vda', pivot: true, wait: false })
  await machine.time.advance(60_000)
}
const start: Story = {
  running: false,
  act: async ({ commands }, uuid) => await commands.startDomain(operator, { uuid, paused: false }),
}
const destroy: Story = {
  running: true,
  act: async ({ commands }, uuid) => await commands.destroyDomain(operator, { uuid, graceful: false }),
}
const suspend: Story = {
  running: true,
  act: async ({ commands }, uuid) => await commands.suspendDomain(operator, uuid),
}
const resume: Story = {
  running: true,
  act: async ({ commands }, uuid) => {
    await commands.suspendDomain(operator, uuid)
    await commands.resumeDomain(operator, uuid)
  },
}
const snapshot: Story = {
  running: true,
  act: async ({ commands }, uuid) => await commands.createSnapshot(operator, snapshotOf(uuid, 's2')),
}
const job: Story = { running: true, act: commit }

const threeOverlays = ['/images/web.s3', '/images/web.s2', '/images/web.s1', '/images/web.qcow2']

/** Jobs that end by themselves, over the chain s3 -> s2 -> s1 -> base: pulls and commits in the middle. */
const quietJobs: Readonly<Record<string, { readonly act: Story['act']; readonly left: readonly string[] }>> = {
  'a pull of everything': {
    act: async ({ commands }, uuid) =>
      await commands.pullBlocks(operator, { uuid, disk: 'vda', base: null, bytesPerSecond: 0n }),
    left: ['/images/web.s3'],
  },
  'a pull down to the base': {
    act: async ({ commands }, uuid) =>
      await commands.pullBlocks(operator, { uuid, disk: 'vda', base: '/images/web.qcow2', bytesPerSecond: 0n }),
    left: ['/images/web.s3', '/images/web.qcow2'],
  },
  'a commit in the middle': {
    act: async ({ commands }, uuid) =>
      await commands.commitBlocks(
        operator,
        commitOf(uuid, { top: '/images/web.s2', base: '/images/web.s1', active: false }),
      ),
    left: ['/images/web.s3', '/images/web.s1', '/images/web.qcow2'],
  },
}

const stories: Readonly<Record<CrashPoint, Story>> = {
  'define.appended': {
    running: false,
    act: async ({ commands }) => await commands.defineDomain(operator, { xml: definitionOf('other'), validate: false }),
  },
  'start.requested': start,
  'start.spawned': start,
  'start.started': start,
  'destroy.requested': destroy,
  'destroy.acted': destroy,
  'suspend.requested': suspend,
  'suspend.acted': suspend,
  'resume.requested': resume,
  'resume.acted': resume,
  'snapshot.requested': snapshot,
  'snapshot.files': snapshot,
  'snapshot.acted': snapshot,
  'job.requested': job,
  'job.running': job,
  'job.ready': job,
  'job.pivotRequested': job,
  'job.pending': job,
  'job.recorded': job,
  'job.finalized': job,
  'job.concluded': job,
  'job.outcome': job,
}

/** Plays the story up to the point, where the daemon is killed. */
async function killedAt(point: CrashPoint): Promise<{ daemon: FakeDaemon; uuid: string }> {
  const machine = new FakeMachine()
  let armed = false
  const death = Promise.withResolvers<'died'>()
  const daemon = machine.boot({
    at: async (reached, self) => {
      if (!armed || reached !== point) return
      death.resolve('died')
      await self.die()
    },
  })
  const { commands } = daemon
  const { uuid } = await commands.defineDomain(operator, { xml: definitionOf('web'), validate: false })
  const story = stories[point]
  if (story.running) {
    await commands.startDomain(operator, { uuid, paused: false })
    await commands.createSnapshot(operator, snapshotOf(uuid, 's1'))
  }
  armed = true
  expect(await Promise.race([death.promise, story.act(daemon, uuid)]), `the story passes ${point}`).toBe('died')
  return { daemon, uuid }
}

/** A job over three overlays, up to the point at which the daemon is killed. */
async function quietJobKilledAt(point: CrashPoint, act: Story['act']): Promise<{ daemon: FakeDaemon; uuid: string }> {
  const machine = new FakeMachine()
  const death = Promise.withResolvers<'died'>()
  const daemon = machine.boot({
    at: async (reached, self) => {
      if (reached !== point) return
      death.resolve('died')
      await self.die()
    },
  })
  const { commands } = daemon
  const { uuid } = await commands.defineDomain(operator, { xml: definitionOf('web'), validate: false })
  await commands.startDomain(operator, { uuid, paused: false })
  for (const name of ['s1', 's2', 's3']) await commands.createSnapshot(operator, snapshotOf(uuid, name))
  void act(daemon, uuid)
  await machine.time.advance(100_000)
  expect(await Promise.race([death.promise, Promise.resolve('alive')]), `the job passes ${point}`).toBe('died')
  return { daemon, uuid }
}

/** Points of a pivot from which on the target is the disk, whatever dies. */
const decided: readonly CrashPoint[] = ['job.recorded', 'job.finalized', 'job.concluded', 'job.outcome']

/** Points at which a snapshot that lost its hypervisor too has complete overlays. */
const complete: readonly CrashPoint[] = ['snapshot.files', 'snapshot.acted']

describe('reconcileAll()', () => {
  const away = [0, 100_000]
  const rows = crashPoints.flatMap((point) => away.map((awayMs) => ({ point, awayMs })))

  test.each(rows)('settles everything after the daemon died at $point and was away for $awayMs ms', async (row) => {
    const { point, awayMs } = row
    const { daemon, uuid } = await killedAt(point)
    await daemon.machine.time.advance(awayMs)
    const next = await daemon.restarted()
    await next.machine.time.advance(300_000)
    await expectSettled(next)
    if (stories[point].running && !point.startsWith('destroy')) {
      expect(next.host.reads.byUuid(uuid)?.active).toBe(true)
      // The domain is usable: a commit of everything goes through.
      if (next.host.reads.byUuid(uuid)?.run?.state === 'paused') await next.commands.resumeDomain(operator, uuid)
      if (next.chain(uuid).length > 1 && next.host.reads.jobs(uuid).length === 0) {
        await commit(next, uuid)
        expect(next.chain(uuid)).toHaveLength(1)
        await expectSettled(next)
      }
    }
  })

  const quietPoints = [
    'job.requested',
    'job.running',
    'job.pending',
    'job.recorded',
    'job.finalized',
    'job.concluded',
    'job.outcome',
  ] as const
  const quietRows = Object.entries(quietJobs).flatMap(([name, { act, left }]) =>
    quietPoints.map((point) => ({ name, act, left, point })),
  )

  test.each(quietRows)('carries $name to its end after the daemon died at $point', async ({ act, left, point }) => {
    const { daemon, uuid } = await quietJobKilledAt(point, act)
    const next = await daemon.restarted()
    await next.machine.time.advance(100_000)
    await expectSettled(next)
    expect(next.rowsOf(uuid).map((row) => row.state)).toEqual([point === 'job.requested' ? 'failed' : 'completed'])
    if (point !== 'job.requested') expect(next.chain(uuid)).toEqual(left)
  })

  test.each(quietRows)(
    'knows the chain on disk when $name lost its process too, at $point',
    async ({ act, left, point }) => {
      const { daemon, uuid } = await quietJobKilledAt(point, act)
      await daemon.machine.time.advance(point === 'job.finalized' ? 1_000 : 0)
      daemon.driver.guests.kill(uuid)
      const next = await daemon.restarted()
      await expectSettled(next)
      expect(next.host.reads.running()).toEqual([])
      // Only what had changed the files before the process died took effect.
      const isDone = ['job.finalized', 'job.concluded', 'job.outcome'].includes(point)
      expect(next.rowsOf(uuid).map((row) => row.state)).toEqual([isDone ? 'completed' : 'failed'])
      expect(next.chain(uuid)).toEqual(isDone ? left : threeOverlays)
      await next.commands.startDomain(operator, { uuid, paused: false })
      await expectSettled(next)
    },
  )

  test.each(crashPoints)('settles everything after the daemon and every process died at %s', async (point) => {
    const { daemon, uuid } = await killedAt(point)
    for (const machine of daemon.world.machines) daemon.world.removeMachine(machine.uuid)
    const next = await daemon.restarted()
    await expectSettled(next)
    expect(next.host.reads.running()).toEqual([])
    if (point.startsWith('snapshot.')) {
      const overlay = '/images/web.s2'
      const isMade = complete.includes(point)
      expect(next.chain(uuid).includes(overlay), 'an overlay that the guest may have written to stays').toBe(isMade)
      expect(next.world.image(overlay) !== null, 'no overlay is left behind that no chain names').toBe(isMade)
    }
    if (point.startsWith('job.')) {
      const isPivoted = decided.includes(point)
      expect(next.chain(uuid), 'the record of the pivot decides').toHaveLength(isPivoted ? 1 : 2)
      expect(next.rowsOf(uuid).map((row) => row.state)).toEqual([isPivoted ? 'pivoted' : 'failed'])
    }
    // What the log names is what a new start finds.
    await next.commands.startDomain(operator, { uuid, paused: false })
    await expectSettled(next)
  })

  test.each(crashPoints)(
    'ends every run when the host rebooted at %s, and finds nothing to do the second time',
    async (point) => {
      const { daemon } = await killedAt(point)
      daemon.machine.bootId = 'boot-2'
      const next = await daemon.restarted()
      await expectSettled(next)
      expect(next.host.reads.running()).toEqual([])
      const before = next.machine.log.events.length
      const again = await next.restarted()
      await expectSettled(again)
      expect(again.machine.log.events.length).toBe(before)
    },
  )
})
