import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { BoundedMap } from '../../src/eventstore/bounded-map.ts'
import { postgresFailure } from '../../src/eventstore/postgres-failure.ts'

describe('BoundedMap', () => {
  test('forgets what was used longest ago once the weights are over the limit', () => {
    const map = new BoundedMap<string, number>(3)
    for (const [at, key] of ['a', 'b', 'c'].entries()) map.set(key, at)
    map.get('a')
    map.set('d', 3)
    expect(['a', 'b', 'c', 'd'].map((key) => map.get(key))).toEqual([0, undefined, 2, 3])
    map.set('heavy', 9, 3)
    expect(map.size).toBe(1)
    map.set('too heavy', 9, 4)
    expect([map.get('heavy'), map.get('too heavy')]).toEqual([9, undefined])
    map.set('heavy', 10, 1)
    map.set('e', 4, 2)
    expect(map.size).toBe(2)
  })
})

describe('postgresFailure()', () => {
  const failure = (code: string, values: object = {}) =>
    Object.assign(new pg.DatabaseError('no', 2, 'error'), { code, severity: 'ERROR', ...values })
  test.each([
    { error: new Error('Connection terminated unexpectedly'), is: 'lost' },
    { error: failure('57P01', { severity: 'FATAL' }), is: 'lost' },
    { error: failure('57P03'), is: 'lost' },
    { error: failure('08006'), is: 'lost' },
    { error: failure('XX000', { severity: 'PANIC' }), is: 'lost' },
    { error: failure('53100'), is: 'refused' },
    { error: failure('53200'), is: 'refused' },
    { error: failure('58030'), is: 'refused' },
    { error: failure('57014'), is: 'refused' },
    { error: failure('40P01'), is: 'refused' },
    { error: failure('25006'), is: 'refused' },
    { error: failure('23505', { table: 'commit' }), is: 'conflict' },
    { error: failure('23503', { table: 'stream' }), is: 'conflict' },
    { error: failure('23505', { table: 'event_17' }), is: 'conflict' },
    { error: failure('23514', { constraint: 'log_assert' }), is: 'conflict' },
    { error: failure('23505', { table: 'disk_layers' }), is: 'poison' },
    { error: failure('23505', { table: 'event_log_of_mine' }), is: 'poison' },
    { error: failure('22P02'), is: 'poison' },
    { error: failure('42P01'), is: 'poison' },
  ])('takes $error.code $error.severity for $is', ({ error, is }) => {
    expect(postgresFailure(error)).toBe(is)
  })
})
