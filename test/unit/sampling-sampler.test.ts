import { describe, expect, test } from 'vitest'
import type { DomainSample } from '../../src/driver/driver.ts'
import { Sampler, type SamplerOptions } from '../../src/sampling/sampler.ts'
import { ScriptedTime } from '../../src/testdriver/scripted-time.ts'
import { untilAborted } from '../../src/util/until-aborted.ts'

/** A driver whose domains answer after a time of their own, or not at all. */
class FakeDriver {
  readonly time = new ScriptedTime(0)
  readonly answerMs = new Map<string, number>()
  readonly stuck = new Set<string>()
  readonly asked: { readonly uuid: string; readonly atMs: number }[] = []
  readonly underWay = new Map<string, number>()
  mostUnderWay = 0

  async sample(uuid: string, signal: AbortSignal): Promise<DomainSample> {
    this.asked.push({ uuid, atMs: this.time.nowMs() })
    this.underWay.set(uuid, (this.underWay.get(uuid) ?? 0) + 1)
    this.mostUnderWay = Math.max(this.mostUnderWay, ...this.underWay.values())
    try {
      const forMs = this.stuck.has(uuid) ? null : (this.answerMs.get(uuid) ?? 1)
      await untilAborted('sample', { signal, forMs, timers: this.time })
      return sampleAt(this.time.nowMs())
    } finally {
      this.underWay.set(uuid, (this.underWay.get(uuid) ?? 0) - 1)
    }
  }

  timesOf(uuid: string): readonly number[] {
    return this.asked.filter((row) => row.uuid === uuid).map((row) => row.atMs)
  }

  get totalUnderWay(): number {
    return this.underWay.values().reduce((sum, count) => sum + count, 0)
  }
}

function sampleAt(atMs: number): DomainSample {
  return {
    atMs,
    paused: false,
    cpuTimeNs: 0n,
    userTimeNs: 0n,
    systemTimeNs: 0n,
    balloonBytes: null,
    residentBytes: 0n,
    disks: [],
  }
}

function setUp(options: Partial<SamplerOptions> = {}) {
  const driver = new FakeDriver()
  const sampler = new Sampler({
    driver,
    timers: driver.time,
    intervalMs: 1000,
    deadlineMs: 500,
    maxIntervalMs: 4000,
    ...options,
  })
  return { driver, sampler, time: driver.time }
}

describe('Sampler', () => {
  test('start() takes the first reading at once, then one per interval', async () => {
    const { driver, sampler, time } = setUp()
    expect(sampler.latest('a')).toBeNull()
    sampler.start('a')
    sampler.start('a')
    await time.advance(1)
    expect(sampler.latest('a')).toEqual({ sample: sampleAt(1), takenAtMs: 1, silentSinceMs: null })
    await time.advance(2100)
    expect(driver.timesOf('a')).toEqual([0, 1001, 2002])
    expect(sampler.latest('a')?.takenAtMs).toBe(2003)
  })

  test('a stuck domain delays no other and is asked by one request at a time', async () => {
    const { driver, sampler, time } = setUp({ maxConcurrent: 2 })
    for (const uuid of ['stuck-1', 'stuck-2', 'stuck-3', 'a', 'b']) sampler.start(uuid)
    for (const uuid of ['stuck-1', 'stuck-2', 'stuck-3']) driver.stuck.add(uuid)
    await time.advance(110)
    expect(sampler.latest('a')?.silentSinceMs).toBeNull()
    expect(sampler.latest('b')?.silentSinceMs).toBeNull()
    await time.advance(10_000)
    expect(driver.timesOf('a').length).toBeGreaterThanOrEqual(9)
    expect(driver.mostUnderWay).toBe(1)
    expect(sampler.latest('stuck-1')).toBeNull()
  })

  test('at most maxConcurrent readings begin at a time', async () => {
    const { driver, sampler, time } = setUp({ maxConcurrent: 3 })
    for (let index = 0; index < 10; index += 1) {
      driver.answerMs.set(`${index}`, 10)
      sampler.start(`${index}`)
    }
    await time.advance(0)
    expect(driver.totalUnderWay).toBe(3)
    await time.advance(40)
    expect(new Set(driver.asked.map(({ uuid }) => uuid)).size).toBe(10)
  })

  test('a domain that falls silent keeps its last reading and says since when; it is asked less often', async () => {
    const silences: unknown[] = []
    const { driver, sampler, time } = setUp({ onSilent: ({ uuid, sinceMs }) => silences.push([uuid, sinceMs]) })
    sampler.start('a')
    await time.advance(1)
    driver.stuck.add('a')
    await time.advance(1000)
    expect(sampler.latest('a')).toMatchObject({ takenAtMs: 1, silentSinceMs: null })
    await time.advance(500)
    expect(sampler.latest('a')).toMatchObject({ takenAtMs: 1, silentSinceMs: 1001 })
    await time.advance(30_000)
    expect(sampler.latest('a')).toMatchObject({ takenAtMs: 1, silentSinceMs: 1001 })
    const times = driver.timesOf('a')
    const gaps = times.slice(1).map((atMs, index) => atMs - (times[index] ?? 0))
    expect(gaps.slice(0, 5)).toEqual([1001, 2500, 4500, 4500, 4500])
    expect(silences).toEqual([['a', 1001]])
  })

  test('a domain that answers again is sampled as before', async () => {
    const { driver, sampler, time } = setUp()
    sampler.start('a')
    await time.advance(1)
    driver.stuck.add('a')
    await time.advance(10_000)
    driver.stuck.clear()
    await time.advance(4500)
    expect(sampler.latest('a')?.silentSinceMs).toBeNull()
    const before = driver.timesOf('a').length
    await time.advance(3003)
    expect(driver.timesOf('a').length).toBe(before + 3)
  })

  test('refresh() gives a reading that is fresh enough without asking', async () => {
    const { driver, sampler, time } = setUp()
    sampler.start('a')
    await time.advance(300)
    const found = await sampler.refresh('a', { maxAgeMs: 500, deadlineMs: 100 })
    expect(found?.takenAtMs).toBe(1)
    expect(driver.asked.length).toBe(1)
  })

  test('refresh() asks now when the last reading is too old, once for all who wait', async () => {
    const { driver, sampler, time } = setUp()
    sampler.start('a')
    await time.advance(300)
    const options = { maxAgeMs: 100, deadlineMs: 100 }
    const found = Promise.all([sampler.refresh('a', options), sampler.refresh('a', options)])
    await time.advance(50)
    expect((await found).map((last) => last?.takenAtMs)).toEqual([301, 301])
    expect(driver.timesOf('a')).toEqual([0, 300])
  })

  test('refresh() right after start() waits for the first reading', async () => {
    const { sampler, time } = setUp()
    sampler.start('a')
    const found = sampler.refresh('a', { maxAgeMs: 1000, deadlineMs: 100 })
    await time.advance(100)
    expect((await found)?.takenAtMs).toBe(1)
  })

  test('refresh() gives the last reading and the begin of the silence at its deadline, and does not wait for a known one', async () => {
    const { driver, sampler, time } = setUp()
    sampler.start('a')
    await time.advance(300)
    driver.stuck.add('a')
    const first = sampler.refresh('a', { maxAgeMs: 0, deadlineMs: 100 })
    await time.advance(100)
    expect(await first).toMatchObject({ takenAtMs: 1, silentSinceMs: 300 })
    await time.advance(400)
    const second = await sampler.refresh('a', { maxAgeMs: 0, deadlineMs: 100 })
    expect(second).toMatchObject({ takenAtMs: 1, silentSinceMs: 300 })
  })

  test('refresh() of a silent domain ends a long pause, so that its return is seen soon', async () => {
    const { driver, sampler, time } = setUp()
    sampler.start('a')
    await time.advance(1)
    driver.stuck.add('a')
    await time.advance(20_000)
    driver.stuck.clear()
    await time.advance(1000)
    const before = driver.asked.length
    await sampler.refresh('a', { maxAgeMs: 0, deadlineMs: 10 })
    await time.advance(1)
    expect(driver.asked.length).toBe(before + 1)
    expect(sampler.latest('a')?.silentSinceMs).toBeNull()
  })

  test('stop() forgets a domain, gives up its request and lets nobody wait', async () => {
    const { driver, sampler, time } = setUp()
    driver.stuck.add('a')
    sampler.start('a')
    await time.advance(1)
    const waiting = sampler.refresh('a', { maxAgeMs: 0, deadlineMs: 60_000 })
    sampler.stop('a')
    sampler.stop('a')
    expect(await waiting).toBeNull()
    await time.advance(60_000)
    expect(driver.asked.length).toBe(1)
    expect(driver.totalUnderWay).toBe(0)
    expect(time.plannedCount).toBe(0)
    expect(await sampler.refresh('a', { maxAgeMs: 0, deadlineMs: 1 })).toBeNull()
  })

  test('a domain that is stopped and started again begins anew, after its last request has ended', async () => {
    const { driver, sampler, time } = setUp()
    driver.answerMs.set('a', 20)
    sampler.start('a')
    await time.advance(10)
    sampler.stop('a')
    sampler.start('a')
    await time.advance(20)
    expect(sampler.latest('a')?.takenAtMs).toBe(30)
    expect(driver.mostUnderWay).toBe(1)
  })

  test('dispose ends all tasks and every request', async () => {
    const { driver, sampler, time } = setUp({ maxConcurrent: 1 })
    for (const uuid of ['a', 'b', 'c']) {
      driver.stuck.add(uuid)
      sampler.start(uuid)
    }
    await time.advance(10)
    await sampler[Symbol.asyncDispose]()
    expect(driver.totalUnderWay).toBe(0)
    expect(time.plannedCount).toBe(0)
  })
})
