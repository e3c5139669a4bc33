import { expect, test } from 'vitest'
import { parseBackingFormat } from '../../src/image/parse-backing-format.ts'

test.each([
  ['qcow2', { kind: 'format', format: 'qcow2' }],
  ['raw', { kind: 'format', format: 'raw' }],
  ['file', { kind: 'format', format: 'raw' }],
  ['host_device', { kind: 'format', format: 'raw' }],
  [null, { kind: 'missing' }],
  ['vmdk', { kind: 'unsupported', why: 'its format "vmdk" is not served' }],
  ['constructor', { kind: 'unsupported', why: 'its format "constructor" is unknown' }],
  ['RAW', { kind: 'unsupported', why: 'its format "RAW" is unknown' }],
])('parseBackingFormat() reads %j', (recorded, meaning) => {
  expect(parseBackingFormat(recorded)).toEqual(meaning)
})
