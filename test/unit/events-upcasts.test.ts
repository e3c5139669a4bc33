import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { fact, upcast } from '../../src/events/fact.ts'
import { UnreadableFactError } from '../../src/events/read-fact.ts'
import { decodeVersioned, storedExamples, versionedCatalogue } from '../support/versioned-catalogue.ts'

function stored(type: string, schema: number) {
  return { schema, data: Buffer.from(storedExamples[`${type}.${schema}`] ?? '') }
}

describe('readFact()', () => {
  test('reads the newest version as it is', () => {
    expect(decodeVersioned('BackupTaken', stored('BackupTaken', 3))).toEqual({
      type: 'BackupTaken',
      schema: 3,
      data: { name: 'nightly', sizeBytes: 2n ** 53n + 1n, reasons: ['schedule', 'CHG-1'], askedBy: null },
    })
  })

  test.each([1, 2])('lifts version %d step by step to the newest', (schema) => {
    const event = stored('BackupTaken', schema)
    const before = Buffer.from(event.data)
    expect(decodeVersioned('BackupTaken', event)).toEqual({
      type: 'BackupTaken',
      schema: 3,
      data: { name: 'nightly', sizeBytes: 4n << 20n, reasons: ['schedule'], askedBy: null },
    })
    expect(event.data).toEqual(before)
  })

  test.each([
    [{ schema: 1, data: storedExamples['BackupTaken.2'] }, 'version 1 @9 of stream "backup-b": size: Invalid key'],
    [{ schema: 2, data: storedExamples['BackupTaken.1'] }, 'version 2 @9 of stream "backup-b": sizeBytes: Invalid key'],
    [{ schema: 2, data: storedExamples['BackupTaken.3'] }, 'version 2 @9 of stream "backup-b": why: Invalid key'],
  ])('judges %j by the parser of its own version', ({ schema, data = '' }, says) => {
    const event = { schema, data: Buffer.from(data), position: 9n, stream: 'backup-b' }
    expect(() => decodeVersioned('BackupTaken', event)).toThrow(`Cannot read BackupTaken ${says}`)
  })

  test.each([0, 4, 1.5, -1])('refuses version %d by name', (schema) => {
    const read = () => decodeVersioned('BackupTaken', { schema, data: Buffer.from('{}'), position: 1n, stream: 's-1' })
    expect(read).toThrow(UnreadableFactError)
    expect(read).toThrow(
      `Cannot read BackupTaken version ${schema} @1 of stream "s-1": this program knows versions 1 to 3`,
    )
  })
})

describe('fact()', () => {
  const one = v.object({ a: v.string() })
  const two = v.object({ b: v.string() })
  const step = upcast(one, two, ({ a }) => ({ b: a }))

  test('takes one step for each older version', () => {
    expect(fact(2, { meaning: 'm', data: two, older: [step] }).older).toEqual([step])
  })

  test.each([
    ['a version without its step', () => fact(2, { meaning: 'm', data: two }), 'version 2: 0 older versions are given'],
    ['a step too many', () => fact(1, { meaning: 'm', data: two, older: [step] }), 'it has 0'],
    ['a step to elsewhere', () => fact(2, { meaning: 'm', data: one, older: [step] }), 'from version 1 leads to no'],
    ['a gap', () => fact(3, { meaning: 'm', data: two, older: [step, step] }), 'from version 1 leads to no'],
  ])('refuses %s as it is declared', (_what, declare, says) => {
    expect(declare).toThrow(says)
  })

  test('is given an example of each version by the catalogue of this test', () => {
    const wanted = Object.entries(versionedCatalogue).flatMap(([type, { schema }]) =>
      Array.from({ length: schema }, (_, at) => `${type}.${at + 1}`),
    )
    expect(Object.keys(storedExamples).toSorted()).toEqual(wanted.toSorted())
  })
})
