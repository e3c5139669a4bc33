import { describe, expect, test } from 'vitest'
import { parseConnectionUri } from '../../src/rpc/connection-uri.ts'
import { Fault } from '../../src/util/fault.ts'

const qemu = { driver: 'qemu' } as const
const plain = { driver: 'qemu', path: '/system', reason: null, onReady: 'keep' }

describe('parseConnectionUri() reads what clients send', () => {
  test.each([
    ['qemu:///system', plain],
    ['qemu:///session', { ...plain, path: '/session' }],
    [null, plain],
    ['', plain],
    ['qemu:///', plain],
    ['qemu+unix:///system', plain],
    ['QEMU:///system', plain],
    ['qemu:///system?reason=CHG-1', { ...plain, reason: 'CHG-1' }],
    ['qemu:///system?reason=CHG%201%2B2', { ...plain, reason: 'CHG 1+2' }],
    ['qemu:///system?reason=a+b', { ...plain, reason: 'a+b' }],
    ['qemu:///system?reason=', plain],
    ['qemu:///system?reason', plain],
    ['qemu:///system?on-ready=pivot;reason=x', { ...plain, onReady: 'pivot', reason: 'x' }],
    ['qemu:///system?b=2&reason=x#frag', { ...plain, reason: 'x' }],
    ['qemu:///system?unknown=%41&', plain],
  ])('%s', (name, expected) => {
    expect(parseConnectionUri(name, qemu)).toMatchObject(expected)
  })

  test('serves the test driver by its own path', () => {
    expect(parseConnectionUri('test:///default', { driver: 'test' })).toMatchObject({
      driver: 'test',
      path: '/default',
    })
  })
})

describe('parseConnectionUri() refuses', () => {
  test.each([
    ['xen:///system', 'no_connect', 'xen:///system'],
    ['nonsense', 'no_connect', 'nonsense'],
    ['test:///default', 'no_connect', 'test:///default'],
    [
      'qemu:///tree/branch',
      'internal',
      "unexpected qemu URI path '/tree/branch', try qemu:///system or qemu:///session",
    ],
    ['qemu://elsewhere/system', 'invalid_arg', '"elsewhere"'],
    ['qemu:///system?asof=2026-03-03T10%3A00%3A00Z', 'config_unsupported', 'asof=2026-03-03T10:00:00Z'],
    ['qemu:///system?asof=', 'config_unsupported', 'past moment'],
    ['qemu:///system?on-ready=maybe', 'invalid_arg', 'it must be pivot or keep'],
    ['qemu:///system?reason=%zz', 'invalid_arg', 'percent-encoding'],
    [`qemu:///system?reason=${'x'.repeat(1001)}`, 'invalid_arg', '1001 characters'],
  ])('%s', (name, kind, message) => {
    const parse = (): unknown => parseConnectionUri(name, qemu)
    expect(parse).toThrow(Fault)
    expect(parse).toThrow(expect.objectContaining({ kind }))
    expect(parse).toThrow(message)
  })
})
