import { expect, test } from 'vitest'
import type { AnyFact } from '../../src/events/catalogue.ts'
import { DomainCallbackSource } from '../../src/rpc/domain-callback-source.ts'
import type { DomainCallback } from '../../src/rpc/domain-callback.ts'
import { MemoryBackend } from '../support/memory-backend.ts'

const endOfRun = { files: [], restored: [] }
const emulator = { binary: '/usr/bin/qemu', inode: 1n, sizeBytes: 1n, ctimeNs: 1n }

function setUp() {
  const memory = new MemoryBackend()
  const { uuid } = memory.add('web', { id: 3, state: 'running' })
  const source = new DomainCallbackSource(memory.backend().reads)
  const after = (fact: AnyFact, of = uuid): readonly DomainCallback[] =>
    source.callbacksOf({ ...fact, stream: `domain-${of}` })
  return { memory, uuid, after, domain: { uuid, name: 'web', id: 3 } }
}

function defined(uuid: string, name: string): AnyFact {
  return {
    type: 'DomainDefined',
    schema: 1,
    data: { uuid, name, submittedSha256: '', definitionSha256: '', capsId: '', emulator, kept: [] },
  }
}

test('callbacksOf() tells a new definition from a changed one', () => {
  const { memory, uuid, after, domain } = setUp()
  expect(after(defined(uuid, 'web'))).toEqual([{ kind: 'lifecycle', domain, event: 0, detail: 1 }])
  const added = memory.add('db')
  expect(after(defined(added.uuid, 'db'), added.uuid)).toMatchObject([
    { event: 0, detail: 0, domain: { name: 'db', id: -1 } },
  ])
})

test('callbacksOf() knows the name of a domain that is gone with the fact', () => {
  const { memory, uuid, after } = setUp()
  memory.domains.delete(uuid)
  expect(after({ type: 'DomainUndefined', schema: 1, data: { name: 'web' } })).toEqual([
    { kind: 'lifecycle', domain: { uuid, name: 'web', id: -1 }, event: 1, detail: 0 },
  ])
})

test.each([
  [{ type: 'DomainSuspended', schema: 1, data: { cause: 'request' } }, [3, 0]],
  [{ type: 'DomainResumed', schema: 1, data: { cause: 'request' } }, [4, 0]],
  [{ type: 'DomainDestroyed', schema: 1, data: { ...endOfRun } }, [5, 1]],
  [{ type: 'DomainShutOff', schema: 1, data: { ...endOfRun, reason: 'shutdown', detail: '' } }, [5, 0]],
  [{ type: 'DomainShutOff', schema: 1, data: { ...endOfRun, reason: 'host_rebooted', detail: '' } }, [5, 2]],
  [{ type: 'DomainCrashed', schema: 1, data: { ...endOfRun, detail: '' } }, [5, 2]],
] as const)('callbacksOf(%o) is the event that clients know', (fact, [event, detail]) => {
  const { after, domain } = setUp()
  expect(after(fact)).toEqual([{ kind: 'lifecycle', domain, event, detail }])
})

test('callbacksOf() names disk and kind of a job until its end', () => {
  const { after, domain } = setUp()
  const requested: AnyFact = {
    type: 'BlockJobRequested',
    schema: 1,
    data: {
      jobId: 'j',
      disk: 'vda',
      kind: 'active_commit',
      base: 1,
      top: 2,
      onReady: 'keep',
      bytesPerSecond: 0n,
      owners: [],
    },
  }
  expect(after(requested)).toEqual([])
  const job = { kind: 'blockJob', domain, disk: 'vda', path: 'vda', type: 4 }
  expect(after({ type: 'BlockJobReady', schema: 1, data: { jobId: 'j' } })).toEqual([{ ...job, status: 3 }])
  const pivoted: AnyFact = {
    type: 'BlockJobPivoted',
    schema: 1,
    data: { jobId: 'j', disk: 'vda', chain: [1], frozenMs: null, settledBy: 'hypervisor' },
  }
  expect(after(pivoted)).toEqual([{ ...job, status: 0 }])
  expect(after(pivoted)).toEqual([])
})

test('callbacksOf() is silent about facts of other streams', () => {
  const { memory } = setUp()
  const source = new DomainCallbackSource(memory.backend().reads)
  const reset: AnyFact = { type: 'DomainReset', schema: 1, data: { cause: 'request' } }
  expect(source.callbacksOf({ ...reset, stream: 'node-1' })).toEqual([])
})
