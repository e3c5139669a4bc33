import { describe, expect, test } from 'vitest'
import { notOpenError, wireErrorOf } from '../../src/rpc/error.ts'
import { Fault, faultKinds } from '../../src/util/fault.ts'

describe('wireErrorOf()', () => {
  // Codes, domains and texts as libvirtd 9.0 sent them in the recordings.
  test.each([
    ['no_domain', "no domain with matching name 'x'", 42, 10, "Domain not found: no domain with matching name 'x'"],
    ['operation_invalid', 'domain is not running', 55, 20, 'Requested operation is not valid: domain is not running'],
    ['invalid_arg', 'invalid path vdz', 8, 10, 'invalid argument: invalid path vdz'],
    ['no_support', 'DOMAIN_X', 3, 20, 'this function is not supported by the connection driver: DOMAIN_X'],
    [
      'no_snapshot',
      "snapshot 's' does not have a parent",
      72,
      10,
      "Domain snapshot not found: snapshot 's' does not have a parent",
    ],
    [
      'argument_unsupported',
      'QEMU guest agent is not configured',
      74,
      10,
      'argument unsupported: QEMU guest agent is not configured',
    ],
    [
      'no_domain_metadata',
      'Requested metadata element is not present',
      80,
      20,
      'metadata not found: Requested metadata element is not present',
    ],
    ['config_unsupported', 'x', 67, 10, 'unsupported configuration: x'],
    ['domain_exists', "domain 'x' already exists", 9, 20, "operation failed: domain 'x' already exists"],
    ['xml_malformed', 'Document is empty', 35, 20, 'Document is empty'],
    ['no_network', 'n', 43, 19, 'Network not found: n'],
    ['no_storage_volume', 'n', 50, 18, 'Storage volume not found: n'],
    ['rpc', 'unknown procedure: 9', 39, 7, 'unknown procedure: 9'],
  ] as const)('%s', (...[kind, text, code, domain, message]) => {
    expect(wireErrorOf(new Fault(kind, text))).toMatchObject({ code, domain, message, level: 2, str2: text })
  })

  test('has a code for every kind of fault', () => {
    for (const kind of faultKinds) expect(wireErrorOf(new Fault(kind, 'text')).code).toBeGreaterThan(0)
  })

  test('tells nothing of an error that is no fault', () => {
    const error = wireErrorOf(new TypeError('secret of /etc/shadow'))
    expect(error).toMatchObject({ code: 1, domain: 0 })
    expect(JSON.stringify(error)).not.toContain('secret')
  })

  test('sends the subject beside the message', () => {
    expect(wireErrorOf(new Fault('invalid_arg', 'no such disk', { subject: 'vdz' })).str3).toBe('vdz')
  })
})

test('notOpenError() is the one that clients know', () => {
  expect(notOpenError()).toMatchObject({
    code: 1,
    domain: 7,
    message: 'internal error: hypervisor connection not open',
  })
})
