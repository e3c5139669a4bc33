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

describe('reconcileAll()', () => {
  test.each(crashPoints)('settles everything after the daemon died at %s', async (point) => {
    const { daemon, uuid } = await killedAt(point)
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

  test.each(crashPoints)('settles everything after the daemon and every process died at %s', async (point) => {
    const { daemon, uuid } = await killedAt(point)
    for (const machine of daemon.world.machines) daemon.world.removeMachine(machine.uuid)
    const next = await daemon.restarted()
    await expectSettled(next)
    expect(next.host.reads.running()).toEqual([])
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
