import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { BoundedMap } from '../../src/eventstore/bounded-map.ts'
import { CommitStatementComposer } from '../../src/eventstore/commit-statement.ts'
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

describe('CommitStatementComposer', () => {
  const insert = {
    name: 'one',
    sql: 'insert into t values ($1::int, $2::text, $1::int)',
    values: ['1', 'x'],
    expectedRows: null,
  }
  const update = { name: 'two', sql: 'update u set a = $1::int returning 1', values: ['2'], expectedRows: 3 }

  test('makes one statement with its own numbers of parameters and checks of rows', () => {
    const { text, values } = new CommitStatementComposer().compose([insert, update, { ...insert, name: 'three' }])
    expect(text.split('\n')).toEqual([
      'with one as (insert into t values ($1::int, $2::text, $1::int)),',
      'two as (update u set a = $3::int returning 1),',
      'three as (insert into t values ($5::int, $6::text, $5::int))',
      "select log_assert((select count(*) from two) = $4::int8, 'two')",
    ])
    expect(values).toEqual(['1', 'x', '2', '3', '1', 'x'])
  })

  test('gives the same text the same name and refuses a name twice', () => {
    const composer = new CommitStatementComposer()
    const names = [[insert], [update], [insert]].map((statements) => composer.compose(statements).name)
    expect(names).toEqual(['commit_0', 'commit_1', 'commit_0'])
    expect(() => composer.compose([insert, insert])).toThrow('two statements are named "one"')
  })

  test('stops preparing after a bounded number of texts', () => {
    const composer = new CommitStatementComposer()
    const names = Array.from({ length: 300 }, (_, at) => composer.compose([{ ...insert, name: `n${at}` }]).name)
    expect(names[255]).toBe('commit_255')
    expect(names[256]).toBeUndefined()
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
