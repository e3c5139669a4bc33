import { describe, expect, test } from 'vitest'
import { LogCorruptError } from '../../src/eventstore/append-errors.ts'
import { int4Value, int8Value, uuidValue } from '../../src/eventstore/binary-values.ts'
import { BinaryRow } from '../../src/eventstore/binary-row.ts'
import { UuidTexts } from '../../src/eventstore/uuid-texts.ts'

function rowOf(...columns: readonly (Buffer | null)[]): Buffer {
  const count = Buffer.alloc(2)
  count.writeInt16BE(columns.length)
  return Buffer.concat([
    count,
    ...columns.flatMap((column) => (column === null ? [int4Value(-1)] : [int4Value(column.length), column])),
  ])
}

function begun(bytes: Buffer, from = 0): BinaryRow {
  const row = new BinaryRow()
  row.begin(bytes, from)
  return row
}

describe('BinaryRow', () => {
  const edges = [
    0n,
    -1n,
    1n,
    2n ** 32n,
    2n ** 52n,
    2n ** 52n - 1n,
    2n ** 53n + 1n,
    -(2n ** 52n),
    -(2n ** 52n) - 1n,
    2n ** 63n - 1n,
    -(2n ** 63n),
  ]

  test.each(edges)('reads the int8 %s exactly', (value) => {
    expect(begun(rowOf(int8Value(value))).int8()).toBe(value)
  })

  test('reads columns in their order, wherever the row stands', () => {
    const row = rowOf(int8Value(7n), int4Value(-3), Buffer.from('text'), null, Buffer.from([1, 2]))
    const columns = begun(Buffer.concat([Buffer.from('before'), row, Buffer.from('after')]), 6)
    expect([columns.count(), columns.int4(), columns.text(), columns.bytes(), columns.bytes()]).toEqual([
      7,
      -3,
      'text',
      null,
      Buffer.from([1, 2]),
    ])
    expect(columns.at).toBe(6 + row.length)
  })

  test('refuses a column of another length than its type has', () => {
    expect(() => begun(rowOf(int4Value(1))).int8()).toThrow(LogCorruptError)
    expect(() => begun(rowOf(null)).int4()).toThrow('Cannot read a row: a column has -1 bytes, it must have 4')
  })
})

describe('UuidTexts', () => {
  test('gives each of many uuids its text', () => {
    const ids = Array.from({ length: 300 }, (_, at) => `0192a0b1-c2d3-7e4f-8a9b-${at.toString(16).padStart(12, '0')}`)
    const texts = new UuidTexts()
    const numbers = ids.map((id) => begun(rowOf(uuidValue(id))).uuid(texts))
    expect(numbers.map((number) => texts.text(number))).toEqual(ids)
  })
})
