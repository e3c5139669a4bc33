import { describe, expect, test } from 'vitest'
import { catalogue, decodeFact, encodeData, isFactType } from '../../src/events/catalogue.ts'
import { playEvents } from '../support/event-story.ts'
import { readProjectFile } from '../support/project-files.ts'

/** What a text holds at each place, without the values; null stands for what may be absent or empty. */
function shapeOf(value: unknown): unknown {
  if (value === null) return null
  if (Array.isArray(value)) return value.length === 0 ? null : [shapeOf(value[0])]
  if (typeof value !== 'object') return typeof value
  const parts = Object.entries(value)
  return parts.length === 0 ? null : Object.fromEntries(parts.map(([key, part]) => [key, shapeOf(part)]))
}

/** Whether two shapes have the same keys and kinds at every place that both have. */
function fit(a: unknown, b: unknown): boolean {
  if (a === null || b === null) return true
  if (typeof a !== 'object' || typeof b !== 'object') return a === b
  const [ours, theirs] = [new Map(Object.entries(a)), new Map(Object.entries(b))]
  return ours.size === theirs.size && [...ours].every(([key, part]) => theirs.has(key) && fit(part, theirs.get(key)))
}

describe('what the daemon records today', async () => {
  const events = await playEvents()
  const byType = Map.groupBy(events, ({ type }) => type)

  test('is written in the newest version of its type, and loses nothing when it is read', () => {
    for (const event of events) {
      expect(isFactType(event.type) && catalogue[event.type].schema).toBe(event.schema)
      expect(JSON.parse(encodeData(decodeFact(event.type, event).data))).toEqual(
        JSON.parse(Buffer.from(event.data).toString()),
      )
    }
  })

  test.each([...byType.keys()])('of type %s has the form that is pinned', (type) => {
    const [first] = byType.get(type) ?? []
    const pinned = shapeOf(JSON.parse(readProjectFile(`fixtures/events/${type}.${first?.schema}.json`)))
    const shapes = (byType.get(type) ?? []).map(({ data }) => shapeOf(JSON.parse(Buffer.from(data).toString())))
    expect(shapes.filter((shape) => !fit(shape, pinned))).toEqual([])
  })

  test('is told apart from another form', () => {
    expect(fit(shapeOf({ a: 1, b: [{ c: 'x' }] }), shapeOf({ b: [{ c: 'y' }], a: 2 }))).toBe(true)
    expect(fit(shapeOf({ a: 1 }), shapeOf({ a: '1' }))).toBe(false)
    expect(fit(shapeOf({ a: 1 }), shapeOf({ a: 1, b: 1 }))).toBe(false)
    expect(fit(shapeOf([{ c: 1 }]), shapeOf([{ d: 1 }]))).toBe(false)
    expect(fit(shapeOf({ a: null }), shapeOf({ a: { b: 1 } }))).toBe(true)
  })
})
