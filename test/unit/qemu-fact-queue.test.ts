import { expect, test } from 'vitest'
import type { DriverFact } from '../../src/driver/driver.ts'
import { FactQueue } from '../../src/qemu/fact-queue.ts'

const job = (jobId: string, status: 'running' | 'ready' | 'concluded'): DriverFact => ({
  kind: 'jobChanged',
  uuid: 'a',
  jobId,
  status,
})

async function taken(queue: FactQueue, count: number): Promise<DriverFact[]> {
  const facts: DriverFact[] = []
  for await (const fact of queue.read(new AbortController().signal)) {
    facts.push(fact)
    if (facts.length === count) break
  }
  return facts
}

test('FactQueue gives facts in their order, also those that come while it is read', async () => {
  const queue = new FactQueue()
  queue.push({ kind: 'suspended', uuid: 'a' })
  const reading = taken(queue, 3)
  await Promise.resolve()
  queue.push({ kind: 'resumed', uuid: 'a' })
  queue.push(job('j', 'ready'))
  expect((await reading).map(({ kind }) => kind)).toEqual(['suspended', 'resumed', 'jobChanged'])
})

test('FactQueue keeps of a flood the last word on each subject, in order', async () => {
  const queue = new FactQueue(4)
  queue.push({ kind: 'resumed', uuid: 'b' })
  for (let n = 0; n < 10_000; n += 1) {
    queue.push({ kind: n % 2 === 0 ? 'suspended' : 'resumed', uuid: 'a' })
    queue.push(job('j', n % 2 === 0 ? 'running' : 'ready'))
  }
  queue.push(job('k', 'concluded'))
  queue.push({ kind: 'ended', uuid: 'a', how: 'shutdown', detail: '' })
  expect(queue.length).toBeLessThanOrEqual(5)
  const facts = await taken(queue, queue.length)
  expect(facts.slice(-4)).toEqual([
    { kind: 'resumed', uuid: 'a' },
    job('j', 'ready'),
    job('k', 'concluded'),
    expect.objectContaining({ kind: 'ended' }),
  ])
  expect(facts).toContainEqual({ kind: 'resumed', uuid: 'b' })
})

test('FactQueue ends its reader at the signal and keeps the rest for the next; two readers are refused', async () => {
  const queue = new FactQueue()
  const stop = new AbortController()
  const reader = queue.read(stop.signal)
  const first = reader.next()
  await expect(queue.read(stop.signal).next()).rejects.toThrow(/one reader/)
  stop.abort()
  expect(await first).toEqual({ done: true, value: undefined })
  queue.push({ kind: 'reset', uuid: 'a' })
  expect(await taken(queue, 1)).toEqual([{ kind: 'reset', uuid: 'a' }])
})
