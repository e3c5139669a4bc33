import { describe, expect, test } from 'vitest'
import type { BlockJobRow } from '../../projections/block-jobs.ts'
import { remoteProcedures as procedures } from '../../src/protocol/procedure-table.ts'
import { createDispatcher } from '../../src/rpc/all-handlers.ts'
import { startMemoryServer } from '../support/memory-server.ts'
import { RpcClient } from '../support/rpc-client.ts'

function job(values: Partial<BlockJobRow>): BlockJobRow {
  return {
    job_id: 'j',
    domain_uuid: '11111111-2222-3333-4444-000000000001',
    disk: 'vda',
    kind: 'active_commit',
    state: 'running',
    base_layer: 1,
    top_layer: 2,
    on_ready: 'keep',
    pivot_requested: false,
    bytes_per_second: 0n,
    requested_by: '',
    reason: null,
    requested_at_us: 0n,
    ended_at_us: null,
    error: null,
    ...values,
  }
}

describe('lists', () => {
  test('CONNECT_LIST_ALL_DOMAINS selects by flags', async () => {
    await using served = await startMemoryServer()
    served.memory.add('off')
    served.memory.add('on', { id: 1, state: 'running' })
    served.memory.add('held', { id: 2, state: 'paused' })
    await using client = await RpcClient.open(served.path)
    const list = async (flags: number): Promise<string> => {
      const { domains, count } = await client.call(procedures.connectListAllDomains, { needResults: 1, flags })
      expect(count).toBe(domains.length)
      return domains.map((domain) => domain.name).join(' ')
    }
    expect(await list(0)).toBe('off on held')
    expect(await list(1)).toBe('on held')
    expect(await list(2)).toBe('off')
    expect(await list(3)).toBe('off on held')
    expect(await list(0x20)).toBe('held')
    expect(await list(0x1 | 0x10)).toBe('on')
    expect(await list(0x8)).toBe('')
    expect(await list(0x200 | 0x2000)).toBe('off on held')
    expect(await list(0x100)).toBe('')
    await expect(client.call(procedures.connectListAllDomains, { needResults: 1, flags: 0x10000 })).rejects.toThrow(
      '0x10000',
    )
    const counted = await client.call(procedures.connectListAllDomains, { needResults: 0, flags: 0 })
    expect(counted).toEqual({ domains: [], count: 3 })
  })

  test('the old forms give ids of the active and names of the others', async () => {
    await using served = await startMemoryServer()
    served.memory.add('off')
    served.memory.add('on', { id: 5, state: 'running' })
    await using client = await RpcClient.open(served.path)
    expect(await client.call(procedures.connectNumOfDomains, {})).toEqual({ count: 1 })
    expect(await client.call(procedures.connectListDomains, { maxIds: 9 })).toEqual({ ids: [5] })
    expect(await client.call(procedures.connectListDefinedDomains, { maxNames: 9 })).toEqual({ names: ['off'] })
    await expect(client.call(procedures.connectListDomains, { maxIds: -1 })).rejects.toThrow('must not be negative')
  })

  test('a thousand domains are listed in one reply', async () => {
    await using served = await startMemoryServer()
    for (let index = 0; index < 1000; index++) served.memory.add(`domain-${index}`)
    await using client = await RpcClient.open(served.path)
    const { domains } = await client.call(procedures.connectListAllDomains, { needResults: 1, flags: 0 })
    expect(domains.length).toBe(1000)
    expect(new Set(domains.map((domain) => domain.uuid)).size).toBe(1000)
  })

  test('every list of what this host has not is empty', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.open(served.path)
    const lists = [
      procedures.connectListAllNetworks,
      procedures.connectListAllStoragePools,
      procedures.connectListAllInterfaces,
      procedures.connectListAllNodeDevices,
      procedures.connectListAllNwfilters,
      procedures.connectListAllNwfilterBindings,
      procedures.connectListAllSecrets,
    ]
    for (const list of lists) {
      const payload = await client.callRaw(list.number, Buffer.from('0000000100000000', 'hex'))
      expect(payload.toString('hex')).toBe('0000000000000000')
    }
  })
})

describe('definitions', () => {
  test('bytes that are not UTF-8 are an error of the document', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.open(served.path)
    const define = client.call(procedures.domainDefineXml, { xml: Buffer.from([0x3c, 0xc3, 0x28]) })
    await expect(define).rejects.toMatchObject({
      error: { code: 35, message: 'Cannot read the domain definition: it is not valid UTF-8' },
    })
    expect(served.memory.callers).toEqual([])
  })

  test('an unknown flag is refused before anything is done', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.open(served.path)
    const define = client.call(procedures.domainDefineXmlFlags, { xml: Buffer.from('<domain/>'), flags: 8 })
    await expect(define).rejects.toThrow('unsupported flags (0x8) in function DOMAIN_DEFINE_XML_FLAGS')
    expect(served.memory.callers).toEqual([])
  })
})

describe('DOMAIN_GET_BLOCK_JOB_INFO', () => {
  async function info(rows: readonly BlockJobRow[]) {
    await using served = await startMemoryServer()
    const { uuid, name } = served.memory.add('web', { id: 1, state: 'running' })
    served.memory.jobs.push(...rows)
    await using client = await RpcClient.open(served.path)
    return await client.call(procedures.domainGetBlockJobInfo, { domain: { uuid, name, id: 1 }, disk: 'vda', flags: 0 })
  }

  test('finds nothing without a job', async () => {
    expect(await info([])).toEqual({ found: 0, type: 0, bandwidth: 0n, current: 0n, end: 0n })
  })

  test('never looks ready before it is', async () => {
    expect(await info([job({ state: 'running' })])).toMatchObject({ found: 1, type: 4, current: 9n, end: 10n })
  })

  test('looks ready when it is', async () => {
    expect(await info([job({ state: 'ready' })])).toMatchObject({ current: 10n, end: 10n })
  })
})

describe('resource lookups', () => {
  test('find nothing, in the words that clients know', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.open(served.path)
    await expect(client.call(procedures.storageVolLookupByPath, { path: '/x' })).rejects.toMatchObject({
      error: { code: 50, domain: 18, message: "Storage volume not found: no storage vol with matching path '/x'" },
    })
    await expect(client.call(procedures.networkLookupByName, { name: 'n' })).rejects.toMatchObject({
      error: { code: 43 },
    })
  })
})

test('createDispatcher() serves everything of the main story', () => {
  const served = new Set(createDispatcher().names())
  const story = `CONNECT_OPEN CONNECT_CLOSE CONNECT_GET_TYPE CONNECT_GET_VERSION NODE_GET_INFO CONNECT_GET_CAPABILITIES CONNECT_GET_DOMAIN_CAPABILITIES
    CONNECT_GET_HOSTNAME CONNECT_SUPPORTS_FEATURE AUTH_LIST DOMAIN_DEFINE_XML DOMAIN_DEFINE_XML_FLAGS DOMAIN_UNDEFINE_FLAGS CONNECT_LIST_ALL_DOMAINS
    DOMAIN_GET_XML_DESC DOMAIN_GET_INFO DOMAIN_GET_STATE DOMAIN_GET_AUTOSTART DOMAIN_SET_AUTOSTART DOMAIN_CREATE DOMAIN_CREATE_WITH_FLAGS
    DOMAIN_SUSPEND DOMAIN_RESUME DOMAIN_SHUTDOWN_FLAGS DOMAIN_RESET DOMAIN_DESTROY DOMAIN_DESTROY_FLAGS DOMAIN_GET_BLOCK_INFO CONNECT_GET_ALL_DOMAIN_STATS
    DOMAIN_SNAPSHOT_CREATE_XML DOMAIN_LIST_ALL_SNAPSHOTS DOMAIN_SNAPSHOT_GET_XML_DESC DOMAIN_SNAPSHOT_CURRENT DOMAIN_SNAPSHOT_DELETE DOMAIN_BLOCK_PULL
    DOMAIN_BLOCK_COMMIT DOMAIN_GET_BLOCK_JOB_INFO DOMAIN_BLOCK_JOB_ABORT CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY CONNECT_REGISTER_CLOSE_CALLBACK`
  expect(story.split(/\s+/).filter((name) => !served.has(name))).toEqual([])
})
