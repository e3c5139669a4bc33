import { expect, test } from 'vitest'
import { AsyncQueue } from '../../src/util/async-queue.ts'

const row = (value: number) => ({ value })

async function take(queue: AsyncQueue<{ value: number }>, count: number): Promise<readonly number[]> {
  const taken: number[] = []
  for await (const { value } of queue.values(new AbortController().signal)) {
    taken.push(value)
    if (taken.length === count) break
  }
  return taken
}

test('AsyncQueue gives values in order, those that waited and those that come', async () => {
  const queue = new AsyncQueue<{ value: number }>({ max: 10 })
  queue.push(row(1))
  const taken = take(queue, 3)
  await Promise.resolve()
  queue.push(row(2))
  queue.push(row(3))
  expect(await taken).toEqual([1, 2, 3])
})

test('AsyncQueue refuses what is too much and calls when there is room again', async () => {
  let calls = 0
  const queue = new AsyncQueue<{ value: number }>({ max: 2, onTake: () => (calls += 1) })
  expect([1, 2, 3].map((value) => queue.push(row(value)))).toEqual([true, true, false])
  expect(await take(queue, 1)).toEqual([1])
  expect(calls).toBe(1)
  expect(queue.push(row(4))).toBe(true)
  expect(await take(queue, 2)).toEqual([2, 4])
})

test('AsyncQueue ends at the signal, keeps what waits for the next consumer, and has one at a time', async () => {
  const queue = new AsyncQueue<{ value: number }>({ max: 2 })
  const end = new AbortController()
  const first = Array.fromAsync(queue.values(end.signal))
  await expect(Array.fromAsync(queue.values(end.signal))).rejects.toThrow('it has a consumer already')
  end.abort()
  expect(await first).toEqual([])
  queue.push(row(1))
  expect(await take(queue, 1)).toEqual([1])
})
