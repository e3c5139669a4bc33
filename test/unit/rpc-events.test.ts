import { describe, expect, test } from 'vitest'
import { remoteProcedures } from '../../src/protocol/procedure-table.ts'
import { messageType } from '../../src/protocol/programs.ts'
import { startMemoryServer } from '../support/memory-server.ts'
import { RpcClient } from '../support/rpc-client.ts'
import { errorOf, until } from '../support/rpc-expect.ts'

describe('events', () => {
  test('reach the connections that asked, with their callback ids, until they are deregistered', async () => {
    await using served = await startMemoryServer()
    const web = served.memory.add('web')
    const db = served.memory.add('db')
    await using client = await RpcClient.open(served.path)
    const register = remoteProcedures.connectDomainEventCallbackRegisterAny
    await client.call(register, { eventId: 1, domain: null })
    const { callbackId } = await client.call(register, { eventId: 0, domain: { uuid: db.uuid, name: 'db', id: -1 } })
    const publish = (domain: { uuid: string; name: string }): void =>
      served.server.publish({
        kind: 'lifecycle',
        domain: { uuid: domain.uuid, name: domain.name, id: 3 },
        event: 2,
        detail: 0,
      })
    publish(web)
    publish(db)
    await until(() => client.events.length === 1)
    expect(client.events[0]?.header).toMatchObject({ procedure: 318, type: messageType.message, serial: 0, status: 0 })
    expect(client.events[0]?.frame.readInt32BE(24)).toBe(callbackId)
    await client.call(remoteProcedures.connectDomainEventCallbackDeregisterAny, { callbackId })
    publish(db)
    await client.call(remoteProcedures.connectGetHostname, {})
    expect(client.events.length).toBe(1)
    expect(
      (await errorOf(client.call(remoteProcedures.connectDomainEventCallbackDeregisterAny, { callbackId })))[0],
    ).toBe(1)
  })

  test('can be asked for by every id that clients know, and by no other', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.open(served.path)
    const register = (eventId: number) =>
      client.call(remoteProcedures.connectDomainEventCallbackRegisterAny, { eventId, domain: null })
    for (let eventId = 0; eventId < 27; eventId++) expect(await register(eventId)).toEqual({ callbackId: eventId })
    expect((await errorOf(register(27)))[2]).toBe('internal error: unsupported event ID 27')
    expect((await errorOf(register(-1)))[0]).toBe(1)
  })

  test('of a block job come by path and by target', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.open(served.path)
    for (const eventId of [8, 16])
      await client.call(remoteProcedures.connectDomainEventCallbackRegisterAny, { eventId, domain: null })
    await client.call(remoteProcedures.connectDomainEventRegisterAny, { eventId: 8 })
    const domain = { uuid: '11111111-2222-3333-4444-555555555555', name: 'web', id: 1 }
    served.server.publish({ kind: 'blockJob', domain, disk: 'vda', path: '/srv/web.qcow2', type: 4, status: 3 })
    await until(() => client.events.length === 3)
    expect(client.events.map((event) => event.header.procedure).sort((a, b) => a - b)).toEqual([241, 326, 339])
  })
})
