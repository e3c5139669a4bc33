import { describe, expect, test } from 'vitest'
import { SlotCache } from '../../src/eventstore/slot-cache.ts'

describe('SlotCache', () => {
  test('finds what was put under a number, and nothing under another one of the same slot', () => {
    const cache = new SlotCache<string>(8)
    cache.set(0, 'zero')
    cache.set(3, 'three')
    expect([0, 3, 8, 11, 4].map((key) => cache.get(key))).toEqual(['zero', 'three', undefined, undefined, undefined])
  })

  test('has the later one of two that share a slot', () => {
    const cache = new SlotCache<string>(8)
    cache.set(3, 'three')
    cache.set(11, 'eleven')
    expect([cache.get(3), cache.get(11)]).toEqual([undefined, 'eleven'])
  })

  test('takes numbers that do not fit in 32 bits', () => {
    const cache = new SlotCache<string>(8)
    const large = 2 ** 40 + 5
    cache.set(large, 'large')
    expect([cache.get(large), cache.get(5)]).toEqual(['large', undefined])
  })

  test('refuses a number of slots that is not a power of two', () => {
    expect(() => new SlotCache(12)).toThrow('Cannot make 12 slots: not a power of two')
  })
})
