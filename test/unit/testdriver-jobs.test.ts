import { describe, expect, test } from 'vitest'
import type { BlockJobStart } from '../../src/driver/driver.ts'
import { DriverKit, layer, never, uuid } from './testdriver-kit.ts'

const common = { jobId: 'job', target: 'vda', bytesPerSecond: 0n } as const
const activeCommit = (top: number, base: number): BlockJobStart => ({
  ...common,
  kind: 'active_commit',
  top: layer(top),
  base: layer(base),
})
const commit = (active: number, top: number, base: number): BlockJobStart => ({
  ...common,
  kind: 'commit',
  active: layer(active),
  top: layer(top),
  base: layer(base),
})
const pull = (top: number, base: number | null): BlockJobStart => ({
  ...common,
  kind: 'pull',
  top: layer(top),
  base: base === null ? null : layer(base),
})

// 64 MiB a layer at 256 MiB per second.
const oneLayerMs = 250

describe('block jobs of the test driver', () => {
  test('an active commit goes running, ready, waiting, pending, concluded, and base is the disk only then', async () => {
    const kit = new DriverKit().listen()
    await kit.run({ vda: [3, 2, 1] })
    await kit.driver.startBlockJob(uuid, activeCommit(3, 1), never)
    await kit.time.advance(2 * oneLayerMs - 1)
    expect(kit.states()).toEqual(['created', 'running'])
    await kit.time.advance(1)
    expect(kit.states()).toEqual(['created', 'running', 'ready'])
    await kit.time.advance(60_000)
    expect(await kit.jobStatus()).toBe('ready')

    await kit.driver.completeJob(uuid, 'job', never)
    await kit.time.advance(60_000)
    expect(await kit.jobStatus()).toBe('pending')
    expect(await kit.chain()).toEqual([3, 2, 1])

    await kit.driver.finalizeJob(uuid, 'job', never)
    await kit.time.advance(60_000)
    expect(await kit.driver.queryJobs(uuid, never)).toEqual([
      { jobId: 'job', status: 'concluded', currentBytes: 134_217_728n, totalBytes: 134_217_728n, error: null },
    ])
    expect(await kit.chain()).toEqual([1])

    await kit.driver.dismissJob(uuid, 'job', never)
    await kit.time.advance(0)
    expect(await kit.driver.queryJobs(uuid, never)).toEqual([])
    expect(kit.states()).toEqual(['created', 'running', 'ready', 'waiting', 'pending', 'concluded', 'null'])
  })

  test.each([
    ['pull without base', pull(3, null), [3]],
    ['pull down to the base', pull(4, 1), [4, 1]],
    ['pull into an intermediate image', pull(3, 1), [4, 3, 1]],
    ['commit of one intermediate image', commit(4, 2, 1), [4, 3, 1]],
    ['commit of two intermediate images', commit(4, 3, 1), [4, 1]],
  ])('%s waits in pending and has its effect on the chain at the end', async (_name, job, chain) => {
    const kit = new DriverKit().listen()
    await kit.run({ vda: job.kind === 'pull' && job.base === null ? [3, 2, 1] : [4, 3, 2, 1] })
    const before = await kit.chain()
    await kit.driver.startBlockJob(uuid, job, never)
    await kit.time.advance(60_000)
    expect(kit.states()).toEqual(['created', 'running', 'waiting', 'pending'])
    expect(await kit.chain()).toEqual(before)
    await kit.driver.finalizeJob(uuid, 'job', never)
    await kit.time.advance(60_000)
    expect(kit.states().at(-1)).toBe('concluded')
    expect(await kit.chain()).toEqual(chain)
  })

  test.each([
    ['running', 100, false],
    ['ready', 60_000, false],
    ['waiting', 60_000, true],
    ['pending', 60_000, true],
  ])('cancel of a job that is %s ends it as cancelled and leaves the chain', async (state, waitMs, complete) => {
    const kit = new DriverKit().listen()
    await kit.run({ vda: [2, 1] })
    await kit.driver.startBlockJob(uuid, activeCommit(2, 1), never)
    await kit.time.advance(waitMs)
    if (complete) await kit.driver.completeJob(uuid, 'job', never)
    if (state === 'pending') await kit.time.advance(60_000)
    expect(await kit.jobStatus()).toBe(state)
    await kit.driver.cancelJob(uuid, 'job', never)
    await kit.time.advance(60_000)
    expect(kit.states().slice(-2)).toEqual(['aborting', 'concluded'])
    expect((await kit.driver.queryJobs(uuid, never))[0]?.error).toBe('Operation canceled')
    expect(await kit.chain()).toEqual([2, 1])
  })

  test('a request at the wrong time is refused, naming the state that is and those that must be', async () => {
    const kit = new DriverKit()
    await kit.run({ vda: [2, 1] })
    await kit.driver.startBlockJob(uuid, activeCommit(2, 1), never)
    await kit.time.advance(1)
    await expect(kit.driver.completeJob(uuid, 'job', never)).rejects.toThrow(
      'Cannot complete block job job of domain "web": it is running, it must be ready',
    )
    await expect(kit.driver.finalizeJob(uuid, 'job', never)).rejects.toThrow('it must be pending')
    await expect(kit.driver.dismissJob(uuid, 'job', never)).rejects.toThrow('it must be concluded')
    await expect(kit.driver.dismissJob(uuid, 'other', never)).rejects.toMatchObject({ kind: 'block_job_missing' })
    await kit.time.advance(60_000)
    await kit.driver.completeJob(uuid, 'job', never)
    await kit.time.advance(60_000)
    await kit.driver.finalizeJob(uuid, 'job', never)
    await expect(kit.driver.cancelJob(uuid, 'job', never)).rejects.toThrow('it is being finalized')
  })

  test.each([
    ['an unknown disk', { ...activeCommit(2, 1), target: 'vdz' }, 'there is no such disk'],
    ['an image outside the chain', activeCommit(2, 9), 'image "/images/9.qcow2" is not in its chain'],
    ['a base above the top', commit(3, 1, 2), 'does not lie below top'],
    ['an active commit of an intermediate image', activeCommit(2, 1), 'is not the active image'],
    ['a commit of the active image', commit(3, 3, 1), 'is the active image'],
  ])('startBlockJob() refuses %s', async (_name, job, message) => {
    const kit = new DriverKit()
    await kit.run({ vda: [3, 2, 1] })
    await expect(kit.driver.startBlockJob(uuid, job, never)).rejects.toThrow(message)
    expect(await kit.driver.queryJobs(uuid, never)).toEqual([])
  })

  test('startBlockJob() refuses a second job on a disk, also after the first concluded, until it is dismissed', async () => {
    const kit = new DriverKit()
    await kit.run({ vda: [2, 1], vdb: [4, 3] })
    await kit.driver.startBlockJob(uuid, activeCommit(2, 1), never)
    const second = { ...activeCommit(2, 1), jobId: 'second' }
    await expect(kit.driver.startBlockJob(uuid, second, never)).rejects.toThrow('job job is')
    await kit.driver.startBlockJob(uuid, { ...activeCommit(4, 3), jobId: 'other-disk', target: 'vdb' }, never)
    await kit.driver.cancelJob(uuid, 'job', never)
    await kit.time.advance(100)
    await expect(kit.driver.startBlockJob(uuid, second, never)).rejects.toThrow('it must be dismissed')
    await kit.driver.dismissJob(uuid, 'job', never)
    await kit.driver.startBlockJob(uuid, second, never)
  })

  test('setJobSpeed() changes the pace from here on', async () => {
    const kit = new DriverKit()
    await kit.run({ vda: [2, 1] })
    await kit.driver.startBlockJob(uuid, activeCommit(2, 1), never)
    await kit.time.advance(125)
    await kit.driver.setJobSpeed(uuid, 'job', 1_048_576n, never)
    await kit.time.advance(1000)
    const [job] = await kit.driver.queryJobs(uuid, never)
    expect(job).toMatchObject({ status: 'running', currentBytes: 33n * 1_048_576n, totalBytes: 64n * 1_048_576n })
    await kit.driver.setJobSpeed(uuid, 'job', 0n, never)
    await kit.time.advance(125)
    expect(await kit.jobStatus()).toBe('ready')
  })

  test('a job that meets an error concludes with it and leaves the chain', async () => {
    const kit = new DriverKit().listen()
    await kit.run({ vda: [2, 1] })
    await kit.driver.startBlockJob(uuid, activeCommit(2, 1), never)
    await kit.time.advance(10)
    kit.driver.guests.failJob(uuid, 'job', 'No space left on device')
    await kit.time.advance(100)
    expect(kit.states()).toEqual(['created', 'running', 'aborting', 'concluded'])
    expect((await kit.driver.queryJobs(uuid, never))[0]).toMatchObject({ error: 'No space left on device' })
    expect(await kit.chain()).toEqual([2, 1])
  })

  test('sample() shows the guest writing to every disk but the one whose job is pending', async () => {
    const kit = new DriverKit()
    await kit.run({ vda: [2, 1], vdb: [3] })
    await kit.driver.startBlockJob(uuid, activeCommit(2, 1), never)
    await kit.time.advance(60_000)
    await kit.driver.completeJob(uuid, 'job', never)
    await kit.time.advance(1000)
    const before = await kit.driver.sample(uuid, never)
    await kit.time.advance(10_000)
    const after = await kit.driver.sample(uuid, never)
    const written = (at: number) => (after.disks[at]?.writeBytes ?? 0n) - (before.disks[at]?.writeBytes ?? 0n)
    expect(written(0)).toBe(0n)
    expect(written(1)).toBe(5_120_000n)
  })
})
