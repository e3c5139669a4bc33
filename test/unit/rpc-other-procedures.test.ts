import { describe, expect, test } from 'vitest'
import type { SnapshotRow } from '../../projections/snapshots.ts'
import { controlProcedures } from '../../src/protocol/control-procedures.ts'
import { errorCode } from '../../src/protocol/error-codes.ts'
import { remoteProcedures as procedures } from '../../src/protocol/procedure-table.ts'
import { programs } from '../../src/protocol/programs.ts'
import { startMemoryServer } from '../support/memory-server.ts'
import { RpcClient } from '../support/rpc-client.ts'
import { errorOf, until } from '../support/rpc-expect.ts'

const disk = {
  readRequests: 1n,
  readBytes: 512n,
  readTimeNs: 10n,
  writeRequests: 2n,
  writeBytes: 4096n,
  writeTimeNs: 20n,
  flushRequests: 3n,
  flushTimeNs: 30n,
  capacityBytes: 1n,
  allocationBytes: 1n,
}

function snapshot(name: string, parent: string | null): SnapshotRow {
  return {
    domain_uuid: '11111111-2222-3333-4444-000000000001',
    name,
    parent,
    is_current: false,
    state: 'disk-snapshot',
    created_at_us: 0n,
    definition_sha256: '',
    description: null,
  }
}

describe('the connection', () => {
  test('CONNECT_GET_URI answers with the URI that it was opened by', async () => {
    await using served = await startMemoryServer()
    await using named = await RpcClient.open(served.path, 'qemu:///session?reason=CHG-1')
    await using unnamed = await RpcClient.open(served.path, '')
    expect(await named.call(procedures.connectGetUri, {})).toEqual({ uri: 'qemu:///session?reason=CHG-1' })
    expect(await unnamed.call(procedures.connectGetUri, {})).toEqual({ uri: 'qemu:///system' })
  })
})

describe('the oldest registrations for events', () => {
  test('CONNECT_DOMAIN_EVENT_REGISTER gives lifecycle events without an id until it is taken back', async () => {
    await using served = await startMemoryServer()
    const web = served.memory.add('web')
    await using client = await RpcClient.open(served.path)
    const publish = (): void =>
      served.server.publish({ kind: 'lifecycle', domain: { uuid: web.uuid, name: 'web', id: 1 }, event: 2, detail: 0 })
    expect(await client.call(procedures.connectDomainEventRegister, {})).toEqual({ registered: 0 })
    expect((await errorOf(client.call(procedures.connectDomainEventRegister, {})))[0]).toBe(errorCode.invalidArgument)
    publish()
    await until(() => client.events.length === 1)
    expect(client.events[0]?.header.procedure).toBe(107)
    await client.call(procedures.connectDomainEventDeregister, {})
    publish()
    await client.call(procedures.connectGetHostname, {})
    expect(client.events).toHaveLength(1)
    expect((await errorOf(client.call(procedures.connectDomainEventDeregister, {})))[0]).toBe(errorCode.internal)
  })

  test('CONNECT_DOMAIN_EVENT_DEREGISTER_ANY ends the registration of its event and of no other', async () => {
    await using served = await startMemoryServer()
    const web = served.memory.add('web')
    await using client = await RpcClient.open(served.path)
    const domain = { uuid: web.uuid, name: 'web', id: 1 }
    for (const eventId of [0, 1]) await client.call(procedures.connectDomainEventRegisterAny, { eventId })
    await client.call(procedures.connectDomainEventDeregisterAny, { eventId: 0 })
    served.server.publish({ kind: 'lifecycle', domain, event: 2, detail: 0 })
    served.server.publish({ kind: 'reboot', domain })
    await until(() => client.events.length === 1)
    expect(client.events[0]?.header.procedure).toBe(169)
    const again = client.call(procedures.connectDomainEventDeregisterAny, { eventId: 0 })
    expect((await errorOf(again))[2]).toBe('internal error: domain event 0 not registered')
  })
})

describe('what a host has besides domains', () => {
  const counts = [
    'connectNumOfNetworks',
    'connectNumOfDefinedNetworks',
    'connectNumOfStoragePools',
    'connectNumOfDefinedStoragePools',
    'connectNumOfInterfaces',
    'connectNumOfDefinedInterfaces',
    'connectNumOfNwfilters',
    'connectNumOfSecrets',
  ] as const
  const names = [
    'connectListNetworks',
    'connectListDefinedNetworks',
    'connectListStoragePools',
    'connectListDefinedStoragePools',
    'connectListInterfaces',
    'connectListDefinedInterfaces',
    'connectListNwfilters',
    'connectListSecrets',
  ] as const

  test('is counted as none and listed as empty', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.open(served.readOnlyPath, 'qemu:///system', 1)
    for (const count of counts) expect([count, await client.call(procedures[count], {})]).toEqual([count, { count: 0 }])
    for (const list of names)
      expect([list, await client.call(procedures[list], { maxNames: 16 })]).toEqual([list, { names: [] }])
  })

  test('cannot be looked up: each kind has its own error', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.open(served.path)
    const uuid = '11111111-2222-3333-4444-555555555555'
    const name = 'default'
    const { noNetwork, noInterface, noNodeDevice, noSecret, noStoragePool, noNwfilter, noStorageVolume } = errorCode
    const lookups: readonly (readonly [number, string, ReturnType<typeof errorOf>])[] = [
      [noNetwork, uuid, errorOf(client.call(procedures.networkLookupByUuid, { uuid }))],
      [noNetwork, name, errorOf(client.call(procedures.networkLookupByName, { name }))],
      [noInterface, name, errorOf(client.call(procedures.interfaceLookupByName, { name }))],
      [noNodeDevice, name, errorOf(client.call(procedures.nodeDeviceLookupByName, { name }))],
      [noSecret, uuid, errorOf(client.call(procedures.secretLookupByUuid, { uuid }))],
      [noStoragePool, name, errorOf(client.call(procedures.storagePoolLookupByName, { name }))],
      [noNwfilter, name, errorOf(client.call(procedures.nwfilterLookupByName, { name }))],
      [noStorageVolume, name, errorOf(client.call(procedures.storageVolLookupByKey, { key: name }))],
      [noStorageVolume, name, errorOf(client.call(procedures.storageVolLookupByPath, { path: name }))],
    ]
    for (const [code, asked, lookup] of lookups) {
      const [found, , message] = await lookup
      expect([asked, found]).toEqual([asked, code])
      expect(message).toContain(asked)
    }
    expect(await client.call(procedures.connectGetHostname, {})).toEqual({ hostname: 'host.example' })
  })
})

describe('a domain', () => {
  test('DOMAIN_GET_MAX_MEMORY, DOMAIN_IS_UPDATED and DOMAIN_GET_SECURITY_LABEL_LIST answer from memory', async () => {
    await using served = await startMemoryServer()
    const { uuid, name } = served.memory.add('web', { id: 1, state: 'running' })
    await using client = await RpcClient.open(served.path)
    const domain = { uuid, name, id: -1 }
    expect(await client.call(procedures.domainGetMaxMemory, { domain })).toEqual({ memoryKib: 65536n })
    expect(await client.call(procedures.domainIsUpdated, { domain })).toEqual({ updated: 0 })
    expect(await client.call(procedures.domainGetSecurityLabelList, { domain })).toEqual({ labels: [], count: 0 })
    const absent = { domain: { uuid: '99999999-2222-3333-4444-555555555555', name: 'gone', id: -1 } }
    for (const one of ['domainGetMaxMemory', 'domainIsUpdated', 'domainGetSecurityLabelList'] as const)
      expect((await errorOf(client.call(procedures[one], absent)))[0]).toBe(errorCode.noDomain)
  })

  test('DOMAIN_BLOCK_STATS gives one disk, all of them together, and names the disk that it does not have', async () => {
    await using served = await startMemoryServer()
    const { uuid, name } = served.memory.add('web', { id: 1, state: 'running' })
    const off = served.memory.add('off')
    served.memory.diskSamples.push({ ...disk, target: 'vda' }, { ...disk, target: 'vdb' })
    await using client = await RpcClient.open(served.path)
    const domain = { uuid, name, id: 1 }
    const stats = (target: string) => client.call(procedures.domainBlockStats, { domain, disk: target })
    const one = { readRequests: 1n, readBytes: 512n, writeRequests: 2n, writeBytes: 4096n, errors: -1n }
    expect(await stats('vda')).toEqual(one)
    expect(await stats('')).toMatchObject({ readBytes: 1024n, writeRequests: 4n, errors: -1n })
    expect((await errorOf(stats('vdz'))).slice(0, 3)).toEqual([8, 10, 'invalid argument: invalid path: vdz'])
    const stopped = client.call(procedures.domainBlockStats, { domain: { ...off, id: -1 }, disk: 'vda' })
    expect((await errorOf(stopped))[0]).toBe(errorCode.operationInvalid)
  })

  test('DOMAIN_BLOCK_REBASE pulls down to a base, counts its bandwidth, and refuses to copy', async () => {
    await using served = await startMemoryServer()
    const { uuid, name } = served.memory.add('web', { id: 1, state: 'running' })
    await using client = await RpcClient.open(served.path)
    const rebase = (flags: number, bandwidth = 2n) =>
      client.call(procedures.domainBlockRebase, {
        domain: { uuid, name, id: 1 },
        disk: 'vda',
        base: '/a',
        bandwidth,
        flags,
      })
    await rebase(0)
    await rebase(64)
    const pulled = { uuid, disk: 'vda', base: '/a' }
    expect(served.memory.pulls).toEqual([
      { ...pulled, bytesPerSecond: 2n * 1024n * 1024n },
      { ...pulled, bytesPerSecond: 2n },
    ])
    expect((await errorOf(rebase(8)))[0]).toBe(errorCode.argumentUnsupported)
    expect((await errorOf(rebase(0, 2n ** 60n)))[0]).toBe(errorCode.invalidArgument)
    expect(served.memory.pulls).toHaveLength(2)
  })

  test('DOMAIN_SNAPSHOT_LIST_CHILDREN_NAMES gives children, or with a flag all that is below', async () => {
    await using served = await startMemoryServer()
    const { uuid, name } = served.memory.add('web')
    served.memory.snapshots.set(uuid, [snapshot('a', null), snapshot('b', 'a'), snapshot('c', 'b'), snapshot('d', 'a')])
    await using client = await RpcClient.open(served.path)
    const below = async (of: string, flags = 0, maxNames = 16) => {
      const args = { snapshot: { name: of, domain: { uuid, name, id: -1 } }, maxNames, flags }
      return (await client.call(procedures.domainSnapshotListChildrenNames, args)).names
    }
    expect(await below('a')).toEqual(['b', 'd'])
    expect((await below('a', 1)).toSorted((one, other) => one.localeCompare(other))).toEqual(['b', 'c', 'd'])
    expect(await below('a', 0, 1)).toEqual(['b'])
    expect(await below('c')).toEqual([])
    expect((await errorOf(below('z')))[0]).toBe(errorCode.noDomainSnapshot)
    expect((await errorOf(below('a', 0, -1)))[0]).toBe(errorCode.invalidArgument)
  })
})

describe('the program of the daemon’s own command line', () => {
  test('DAEMON_STATUS says which process serves and how many domains it has', async () => {
    await using served = await startMemoryServer()
    served.memory.add('off')
    served.memory.add('on', { id: 1, state: 'running' })
    await using client = await RpcClient.open(served.readOnlyPath, 'qemu:///system', 1)
    const status = await client.call(controlProcedures.daemonStatus, {}, programs.control)
    expect(status).toMatchObject({ pid: process.pid, domains: 2, activeDomains: 1 })
    expect(status.uptimeMs).toBeGreaterThan(0n)
  })

  test('CHAIN_ADOPT, CAPS_FORGET and CAPS_PROBE act for their caller, with the reason of the connection', async () => {
    await using served = await startMemoryServer()
    const { uuid, name } = served.memory.add('web')
    await using client = await RpcClient.open(served.path, 'qemu:///system?reason=CHG-7')
    const adopt = { domain: { uuid, name, id: -1 }, disk: 'vda' }
    const { chainAdopt, capsForget } = controlProcedures
    expect(await client.call(chainAdopt, adopt, programs.control)).toEqual({ paths: ['/images/web-vda.qcow2'] })
    expect(await client.call(capsForget, { binary: null }, programs.control)).toEqual({ forgotten: 3 })
    expect(await client.call(capsForget, { binary: '/usr/bin/q' }, programs.control)).toEqual({ forgotten: 1 })
    const { capsEmulators, capsProbe } = controlProcedures
    const { emulators } = await client.call(capsEmulators, {}, programs.control)
    expect(emulators).toEqual([{ binary: '/usr/bin/q', state: 'valid' }])
    expect(await client.call(capsProbe, { binary: '/usr/bin/q' }, programs.control)).toEqual({
      capsId: 'caps of /usr/bin/q',
      isNew: true,
    })
    expect(served.memory.callers.map((caller) => [caller.procedure, caller.reason])).toEqual([
      ['CHAIN_ADOPT', 'CHG-7'],
      ['CAPS_FORGET', 'CHG-7'],
      ['CAPS_FORGET', 'CHG-7'],
      ['CAPS_PROBE', 'CHG-7'],
    ])
  })

  test('DOMAINS_CHECK tells chains beside each other; it and changes are not for connections that only read', async () => {
    await using served = await startMemoryServer()
    const { uuid, name } = served.memory.add('web')
    await using client = await RpcClient.open(served.path)
    await using reader = await RpcClient.open(served.readOnlyPath, 'qemu:///system', 1)
    const { domainsCheck, chainAdopt, replayCheck } = controlProcedures
    const { domains } = await client.call(domainsCheck, {}, programs.control)
    expect(domains).toHaveLength(1)
    expect(domains[0]).toMatchObject({
      domain: { uuid, name },
      error: null,
      disks: [{ disk: 'vda', recorded: ['/a', '/b'], found: ['/a'] }],
      jobs: ['job'],
    })
    const adopt = { domain: { uuid, name, id: -1 }, disk: 'vda' }
    const refused = await Promise.all([
      errorOf(reader.call(domainsCheck, {}, programs.control)),
      errorOf(reader.call(chainAdopt, adopt, programs.control)),
      errorOf(reader.call(replayCheck, {}, programs.control)),
    ])
    expect(refused.map(([code]) => code)).toEqual(refused.map(() => errorCode.operationDenied))
  })

  test('REPLAY_CHECK is not served where there is no log', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.open(served.path)
    const [code, , message] = await errorOf(client.call(controlProcedures.replayCheck, {}, programs.control))
    expect([code, message]).toEqual([
      errorCode.noSupport,
      'this function is not supported by the connection driver: REPLAY_CHECK',
    ])
  })
})
