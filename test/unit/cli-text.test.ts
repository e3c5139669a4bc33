import { expect, test } from 'vitest'
import { alternatives, closestNames } from '../../src/cli/closest-names.ts'
import { diffLines, withContext } from '../../src/cli/line-diff.ts'
import { toJson, toned } from '../../src/cli/output.ts'
import { formatFields, formatTable, shorten } from '../../src/cli/text-table.ts'

test('formatTable() aligns columns and leaves no blanks at the end of a line', () => {
  const columns = [{ title: 'N', align: 'right' }, { title: 'NAME' }, { title: 'WHY' }] as const
  expect(
    formatTable(columns, [
      ['1', 'web', ''],
      ['10', 'database', 'full'],
    ]),
  ).toEqual([' N  NAME      WHY', ' 1  web', '10  database  full'])
})

test('formatFields() indents the further lines of a value', () => {
  expect(
    formatFields([
      ['file', 'a\nb'],
      ['in', 'c'],
    ]),
  ).toEqual(['file  a', '      b', 'in    c'])
})

test('shorten() marks what it cut', () => {
  expect([shorten('abcdef', 4), shorten('abc', 4)]).toEqual(['abc…', 'abc'])
})

test('toJson() writes bigint as decimal strings', () => {
  expect(toJson({ position: 9_007_199_254_740_993n }, { compact: true })).toBe('{"position":"9007199254740993"}')
})

test('toned() colours only where colours are wanted', () => {
  expect(toned({ hasColor: false }, 'bad', 'x')).toBe('x')
  expect(toned({ hasColor: true }, 'bad', 'x')).toBe('\u001B[31mx\u001B[0m')
})

test('closestNames() offers what was probably meant, else all of a few', () => {
  expect(closestNames('wbe', ['database', 'web', 'web2'])).toEqual(['web', 'web2'])
  expect(closestNames('zzzzzz', ['b', 'a'])).toEqual(['a', 'b'])
  expect(
    closestNames(
      'zzzzzz',
      Array.from({ length: 20 }, (_, at) => `vm${at}`),
    ),
  ).toEqual([])
  expect(alternatives('x', [])).toBe('')
})

test('diffLines() gives a shortest edit script', () => {
  const lines = diffLines('a\nb\nc\nd', 'a\nc\nx\nd')
  expect(withContext(lines, 9)).toEqual([' a', '-b', ' c', '+x', ' d'])
})

test('diffLines() of equal texts has no change, also of empty ones', () => {
  expect(withContext(diffLines('a\nb', 'a\nb'), 1)).toEqual(['@@'])
  expect(diffLines('', '')).toEqual([{ kind: 'same', text: '' }])
})

test('withContext() folds what is far from any change', () => {
  const before = Array.from({ length: 20 }, (_, at) => `line ${at}`)
  const after = before.with(10, 'other')
  expect(withContext(diffLines(before.join('\n'), after.join('\n')), 1)).toEqual([
    '@@',
    ' line 9',
    '-line 10',
    '+other',
    ' line 11',
    '@@',
  ])
})

test('diffLines() of long texts that share nothing stays quick', () => {
  const text = (word: string): string => Array.from({ length: 5000 }, (_, at) => `${word} ${at}`).join('\n')
  const start = performance.now()
  expect(diffLines(text('a'), text('b'))).toHaveLength(10_000)
  expect(performance.now() - start).toBeLessThan(2_000)
})
