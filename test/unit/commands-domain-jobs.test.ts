import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { DomainJobs } from '../../src/commands/domain-jobs.ts'
import type { Clock } from '../../src/util/clock.ts'

const clock: Clock = { nowUs: () => BigInt(Date.now()) * 1000n, monotonicMs: () => Date.now() }
const commit = { procedure: 'DOMAIN_BLOCK_COMMIT', actor: 'virsh[4711]', user: 'uid 1000', reason: 'CHG-1234' }
const start = { procedure: 'DOMAIN_CREATE', actor: 'virt-manager[12]', user: 'uid 1001', reason: null }

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('DomainJobs', () => {
  test('lets one change at a time, in the order in which they were asked for', async () => {
    const jobs = new DomainJobs(clock, { waitMs: 30_000, maxWaiting: 10 })
    const order: number[] = []
    const work = async (number: number): Promise<void> => {
      using _job = await jobs.acquire('a', start)
      order.push(number)
      await Promise.resolve()
      order.push(number)
    }
    await Promise.all([work(1), work(2), work(3)])
    expect(order).toEqual([1, 1, 2, 2, 3, 3])
    expect(jobs.holderOf('a')).toBeNull()
  })

  test('keeps nobody waiting for another domain', async () => {
    const jobs = new DomainJobs(clock, { waitMs: 30_000, maxWaiting: 10 })
    using held = await jobs.acquire('a', commit)
    using other = await jobs.acquire('b', start)
    expect([jobs.holderOf('a'), jobs.holderOf('b')]).toEqual([held, other])
  })

  test('ends a wait that takes too long, naming who holds the domain, since when, and why', async () => {
    const jobs = new DomainJobs(clock, { waitMs: 30_000, maxWaiting: 10 })
    using _held = await jobs.acquire('a', commit)
    await vi.advanceTimersByTimeAsync(5_000)
    const waiting = expect(jobs.acquire('a', start)).rejects.toMatchObject({
      kind: 'operation_timeout',
      message:
        'cannot acquire state change lock (held by DOMAIN_BLOCK_COMMIT of virsh[4711] for 35 s, reason: CHG-1234)',
    })
    await vi.advanceTimersByTimeAsync(30_000)
    await waiting
    expect(vi.getTimerCount()).toBe(0)
  })

  test('passes over a waiter that gave up', async () => {
    const jobs = new DomainJobs(clock, { waitMs: 1_000, maxWaiting: 10 })
    const held = await jobs.acquire('a', commit)
    const late = expect(jobs.acquire('a', start)).rejects.toThrow('state change lock')
    await vi.advanceTimersByTimeAsync(999)
    const next = jobs.acquire('a', { ...start, actor: 'next[1]' })
    await vi.advanceTimersByTimeAsync(1)
    await late
    held[Symbol.dispose]()
    expect((await next).holder.actor).toBe('next[1]')
  })

  test('lets only so many wait', async () => {
    const jobs = new DomainJobs(clock, { waitMs: 1_000, maxWaiting: 2 })
    using _held = await jobs.acquire('a', commit)
    const waiting = Promise.allSettled([jobs.acquire('a', start), jobs.acquire('a', commit)])
    await expect(jobs.acquire('a', { ...start, user: 'uid 7' })).rejects.toThrow(
      'cannot acquire state change lock: 2 others wait already (held by DOMAIN_BLOCK_COMMIT of virsh[4711]',
    )
    await vi.advanceTimersByTimeAsync(1_000)
    expect((await waiting).map((one) => one.status)).toEqual(['rejected', 'rejected'])
  })

  test('gives one user at most half of the waiting places', async () => {
    const jobs = new DomainJobs(clock, { waitMs: 1_000, maxWaiting: 4 })
    using _held = await jobs.acquire('a', commit)
    const waiting = Promise.allSettled([start, start].map(async (holder) => await jobs.acquire('a', holder)))
    await expect(jobs.acquire('a', start)).rejects.toThrow(
      'cannot acquire state change lock: 2 others of the same user wait already (held by DOMAIN_BLOCK_COMMIT',
    )
    const other = Promise.allSettled([jobs.acquire('a', commit)])
    await vi.advanceTimersByTimeAsync(1_000)
    expect([...(await waiting), ...(await other)].map((one) => one.status)).toEqual(Array(3).fill('rejected'))
  })

  test('lets users take turns: who asks often keeps the others waiting for one job only', async () => {
    const jobs = new DomainJobs(clock, { waitMs: 30_000, maxWaiting: 20 })
    const order: string[] = []
    const work = async (user: string, number: number): Promise<void> => {
      using _job = await jobs.acquire('a', { ...start, user })
      order.push(`${user}${number}`)
      await Promise.resolve()
    }
    const asked = [1, 2, 3, 4, 5].map(async (number) => await work('a', number))
    await Promise.all([...asked, work('b', 1), work('b', 2), work('c', 1)])
    expect(order).toEqual(['a1', 'b1', 'a2', 'b2', 'a3', 'c1', 'a4', 'a5'])
  })

  test('releases once, however often a job is disposed', async () => {
    const jobs = new DomainJobs(clock, { waitMs: 1_000, maxWaiting: 2 })
    const first = await jobs.acquire('a', commit)
    first[Symbol.dispose]()
    using second = await jobs.acquire('a', start)
    first[Symbol.dispose]()
    expect(jobs.holderOf('a')).toBe(second)
  })
})
