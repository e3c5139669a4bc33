import { expect, test } from 'vitest'
import { parseMoment } from '../../src/cli/moment.ts'
import { duration, localTime, microsecondsOf, utcTime, byteSize } from '../../src/cli/format-time.ts'

const nowUs = 1_772_532_000_000_000n // 2026-03-03T10:00:00Z

test.each([
  ['now', nowUs],
  ['-90s', nowUs - 90_000_000n],
  ['-2h', nowUs - 7_200_000_000n],
  ['-30d', nowUs - 2_592_000_000_000n],
  ['-1w', nowUs - 604_800_000_000n],
  ['2026-03-03T10:00:00Z', nowUs],
  ['2026-03-03T11:30:00.123456+01:30', nowUs + 123_456n],
  ['2026-03-03 10:00:00.5z', nowUs + 500_000n],
])('parseMoment() reads %s', (text, timeUs) => {
  expect(parseMoment(text, nowUs)).toEqual({ kind: 'time', timeUs })
})

test('parseMoment() reads positions', () => {
  expect(parseMoment('@182733', nowUs)).toEqual({ kind: 'position', position: 182_733n })
})

test('parseMoment() reads local times as tables print them', () => {
  const printed = localTime(nowUs + 250_000n)
  expect(parseMoment(printed, 0n)).toEqual({ kind: 'time', timeUs: nowUs + 250_000n })
  expect(parseMoment(printed.slice(0, 16), 0n)).toEqual({ kind: 'time', timeUs: nowUs })
})

test.each(['', 'yesterday', '@', '@-1', '-2y', '2026-02-30T00:00:00Z', '2026-13-01', '10:00', '2026-03-03T25:00:00Z'])(
  'parseMoment() refuses "%s" and says what it takes',
  (text) => {
    expect(() => parseMoment(text, nowUs)).toThrow(`Cannot read the time "${text}": it must be like`)
  },
)

test('utcTime() and microsecondsOf() keep every microsecond', () => {
  expect(utcTime(nowUs + 7n)).toBe('2026-03-03T10:00:00.000007Z')
  expect(microsecondsOf('2026-03-03 10:00:00.000007+00')).toBe(nowUs + 7n)
  expect(microsecondsOf('2026-03-03 10:00:00.5+00')).toBe(nowUs + 500_000n)
  expect(microsecondsOf('2026-03-03 10:00:00+00')).toBe(nowUs)
  expect(() => microsecondsOf('2026-03-03 10:00:00+01')).toThrow('not one of a session in UTC')
})

test.each([
  [850_000n, '850 ms'],
  [12_345_000n, '12.3 s'],
  [125_000_000n, '2 min 5 s'],
  [7_500_000_000n, '2 h 5 min'],
  [180_000_000_000n, '2 d 2 h'],
])('duration() writes %s µs as %s', (lengthUs, text) => {
  expect(duration(lengthUs)).toBe(text)
})

test.each([
  [512n, '512 B'],
  [1536n, '1.5 KiB'],
  [3n << 40n, '3.0 TiB'],
])('byteSize() writes %s as %s', (size, text) => {
  expect(byteSize(size)).toBe(text)
})
