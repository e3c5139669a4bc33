import { describe, expect, test } from 'vitest'
import { catalogue, families } from '../../src/events/catalogue.ts'
import { erasableTypes, whyNotErasable } from '../../src/events/erasable.ts'
import { namedTexts } from '../../src/events/named-texts.ts'
import { projectFiles, readProjectFile } from '../support/project-files.ts'

describe('whyNotErasable()', () => {
  test('lets go of events beside the daemon’s own streams, and of those that nothing is made of', () => {
    expect(whyNotErasable('order-17', 'OrderPlaced')).toBeNull()
    expect(whyNotErasable('refusals-1000', 'CommandRefused')).toBeNull()
    expect(whyNotErasable('node-x', 'DaemonStarted')).toContain('of those on its own streams only CommandRefused')
    expect(whyNotErasable('name-web', 'OrderPlaced')).not.toBeNull()
    for (const { streams } of families)
      for (const stream of streams) expect(whyNotErasable(stream, 'Other')).not.toBeNull()
  })

  test('names no type that a projection or a decision reads', () => {
    const readers = projectFiles().filter((file) => /^(projections|src\/model|src\/reactors)\/.*\.ts$/.test(file))
    expect(readers.length).toBeGreaterThan(10)
    const reading = readers.filter((file) =>
      erasableTypes.some((type) => new RegExp(`\\b${type}\\b`).test(readProjectFile(file))),
    )
    expect(reading).toEqual([])
  })
})

describe('namedTexts()', () => {
  const golden = projectFiles().filter((file) => file.startsWith('fixtures/events/'))
  test.each(golden)('finds the big texts of %s, in every version', (file) => {
    const [type = ''] = file.slice('fixtures/events/'.length).split('.')
    const text = readProjectFile(file)
    const stored: unknown = JSON.parse(text)
    const fields = typeof stored === 'object' && stored !== null ? Object.entries(stored) : []
    // Hashes of files and of what is kept elsewhere are no big texts.
    const others = ['executableSha256', 'dataSha256']
    const expected = fields.flatMap(([name, value]) =>
      name.endsWith('Sha256') && !others.includes(name) && typeof value === 'string' ? [value] : [],
    )
    expect(namedTexts(type, Buffer.from(text))).toEqual(expected)
  })

  test('does not know what other types name', () => {
    expect(Object.hasOwn(catalogue, 'OrderPlaced')).toBe(false)
    expect(namedTexts('OrderPlaced', Buffer.from('{}'))).toBeNull()
  })
})
