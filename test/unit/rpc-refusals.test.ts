import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { remoteProcedures as procedures } from '../../src/protocol/procedure-table.ts'
import { startMemoryServer } from '../support/memory-server.ts'
import { RpcClient } from '../support/rpc-client.ts'

const nobody = { uuid: '11111111-2222-4333-8444-555555555555', name: 'nobody', id: -1 }

describe('a refused change', () => {
  test('is noted with its rule and who asked, also where no command was reached', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.open(served.path, 'qemu:///system?reason=CHG-1')
    const { domain } = { domain: nobody }
    await expect(client.call(procedures.domainCreate, { domain })).rejects.toThrow('no domain with matching uuid')
    await expect(client.call(procedures.domainReset, { domain, flags: 8 })).rejects.toThrow('unsupported flags')
    expect(served.memory.refusals.map(({ caller, fault }) => [caller.procedure, fault.kind, caller.reason])).toEqual([
      ['DOMAIN_CREATE', 'no_domain', 'CHG-1'],
      ['DOMAIN_RESET', 'invalid_arg', 'CHG-1'],
    ])
    expect(served.memory.refusals[0]?.caller.actor).toMatchObject({ uid: process.getuid?.(), pid: process.pid })
  })

  test('of a connection that may only read is noted before its arguments are read', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.open(served.readOnlyPath)
    await expect(client.callRaw(procedures.domainDestroy.number)).rejects.toThrow('read only access prevents')
    expect(served.memory.refusals).toMatchObject([{ caller: { procedure: 'DOMAIN_DESTROY' } }])
  })

  test('is answered when it is recorded', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.open(served.path)
    const { promise, resolve } = Promise.withResolvers<void>()
    served.memory.refusing = promise
    let isAnswered = false
    const answer = expect(client.call(procedures.domainCreate, { domain: nobody })).rejects.toThrow('no domain')
    const answered = answer.then(() => (isAnswered = true))
    await expect.poll(() => served.memory.refusals.length).toBe(1)
    // Another call of the connection passes it by.
    await client.call(procedures.connectGetHostname, {})
    await turn()
    expect(isAnswered).toBe(false)
    resolve()
    await answered
  })
})

describe('what is not noted', () => {
  test('is a question, a call that nobody serves, and one that is not understood', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.open(served.path)
    await expect(client.call(procedures.domainGetInfo, { domain: nobody })).rejects.toThrow('no domain')
    await expect(client.call(procedures.domainLookupByName, { name: 'x' })).rejects.toThrow()
    await expect(client.callRaw(66_000)).rejects.toThrow('unknown procedure')
    await expect(client.callRaw(procedures.domainGetInfo.number)).rejects.toThrow('Unable to decode')
    await expect(client.callRaw(procedures.domainCreate.number)).rejects.toThrow('Unable to decode')
    expect(served.memory.refusals).toEqual([])
  })
})
