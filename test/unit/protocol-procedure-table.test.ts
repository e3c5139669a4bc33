import { describe, expect, test } from 'vitest'
import { callbackEvents, connectionClosedEvent, legacyEvents } from '../../src/protocol/event-messages.ts'
import { isEventName, remoteProcedureName } from '../../src/protocol/procedure-names.ts'
import { lookupProcedure, remoteProcedures } from '../../src/protocol/procedure-table.ts'
import { procedureNumbers } from '../support/procedure-numbers.ts'
import { programs } from '../../src/protocol/programs.ts'

const remote = { program: programs.remote.number, version: 1 }

describe('the procedure table', () => {
  test('knows every number from 1 to 453 by a name of its own', () => {
    const names = Array.from({ length: 453 }, (_, index) => remoteProcedureName(index + 1))
    expect(names.filter((name) => name === undefined)).toEqual([])
    expect(new Set(names).size).toBe(453)
    expect(remoteProcedureName(0)).toBeUndefined()
    expect(remoteProcedureName(454)).toBeUndefined()
  })

  test.each(Object.entries(procedureNumbers))('%s has number %i', (name, number) => {
    expect(remoteProcedureName(number)).toBe(name)
  })

  test('gives every row and event the name of its number, and no number twice', () => {
    const rows = [
      ...Object.values(remoteProcedures),
      ...Object.values(callbackEvents),
      ...Object.values(legacyEvents),
      connectionClosedEvent,
    ]
    expect(rows.filter((row) => remoteProcedureName(row.number) !== row.name)).toEqual([])
    expect(new Set(rows.map((row) => row.number)).size).toBe(rows.length)
  })

  test('lets read-only connections call queries and nothing else', () => {
    const changing = Object.values(remoteProcedures)
      .filter((row) => !row.readOnly)
      .map((row) => row.name)
    expect(changing).toContain('DOMAIN_DESTROY')
    expect(changing).toContain('DOMAIN_SNAPSHOT_DELETE')
    expect(changing.filter((name) => /_GET_|LOOKUP|LIST|NUM_OF|_IS_/.test(name))).toEqual([])
  })

  test('deletes the description of a snapshot beside other jobs, and snapshots themselves alone', () => {
    const snapshot = { name: 's', domain: { name: 'd', uuid: '', id: -1 } }
    expect(remoteProcedures.domainSnapshotDelete.classOf({ snapshot, flags: 2 })).toBe('shared')
    expect(remoteProcedures.domainSnapshotDelete.classOf({ snapshot, flags: 0 })).toBe('modify')
  })
})

describe('lookupProcedure()', () => {
  test('finds a row', () => {
    expect(lookupProcedure({ ...remote, procedure: 14 })).toMatchObject({
      kind: 'served',
      procedure: { name: 'DOMAIN_GET_XML_DESC' },
    })
  })

  test('names a procedure without codecs', () => {
    expect(lookupProcedure({ ...remote, procedure: 135 })).toEqual({
      kind: 'known',
      name: 'CONNECT_DOMAIN_XML_FROM_NATIVE',
    })
    expect(lookupProcedure({ program: programs.qemu.number, version: 1, procedure: 1 })).toEqual({
      kind: 'known',
      name: 'DOMAIN_MONITOR_COMMAND',
    })
  })

  test.each([0, 318, 339, 107, 454, -1, 2 ** 31 - 1])('does not know number %i as a call', (procedure) => {
    expect(lookupProcedure({ ...remote, procedure })).toEqual({ kind: 'unknown' })
  })

  test('does not know other programs and versions', () => {
    expect(lookupProcedure({ program: 1, version: 1, procedure: 1 })).toEqual({ kind: 'no_program' })
    expect(lookupProcedure({ ...remote, version: 2, procedure: 1 })).toEqual({ kind: 'no_program' })
  })
})

test('isEventName() tells events from their registrations', () => {
  expect(isEventName('DOMAIN_EVENT_LIFECYCLE')).toBe(true)
  expect(isEventName('CONNECT_EVENT_CONNECTION_CLOSED')).toBe(true)
  expect(isEventName('CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY')).toBe(false)
  expect(isEventName('CONNECT_DOMAIN_EVENT_DEREGISTER')).toBe(false)
  expect(isEventName('DOMAIN_GET_PERF_EVENTS')).toBe(false)
})
