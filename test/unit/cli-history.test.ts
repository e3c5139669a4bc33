import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { bears, causesOf, idsOf, timeOfId } from '../../src/cli/causes.ts'
import { describeFact } from '../../src/cli/describe-fact.ts'
import { chooseDomain, type KnownDomain } from '../../src/cli/find-domain.ts'
import { type LayerVersion, splitChain } from '../../src/cli/split-chain.ts'
import { whoOf } from '../../src/cli/told-event.ts'
import { catalogue, decodeFact } from '../../src/events/catalogue.ts'
import { metadataOf, ToldLog } from '../support/told-events.ts'

const fixtures = new URL('../../fixtures/events/', import.meta.url)

describe('describeFact()', () => {
  test.each(readdirSync(fixtures))('says one line of %s', (file) => {
    const [type = '', schema = ''] = file.split('.')
    const fact = decodeFact(type, { schema: Number(schema), data: readFileSync(new URL(file, fixtures)) })
    const line = describeFact(fact)
    expect(line).not.toMatch(/\n|undefined|\[object|NaN/)
    const hasData = Object.keys(fact.data).length > 0
    if (hasData && !/^Domain(Suspended|Resumed|Reset|Destroyed|Crashed)$/.test(type)) expect(line).not.toBe('')
  })

  test('has a fixture to say of every type', () => {
    const types = new Set(readdirSync(fixtures).map((file) => file.split('.')[0]))
    expect(Object.keys(catalogue).filter((type) => !types.has(type))).toEqual([])
  })
})

test('whoOf() names the program without its directory, and the user where it is not root', () => {
  expect(whoOf({ meta: metadataOf() })).toBe('virsh[4711]')
  const { actor } = metadataOf()
  expect(whoOf({ meta: metadataOf({ actor: { ...actor, uid: 1000 } }) })).toBe('virsh[4711] uid 1000')
})

describe('causesOf()', () => {
  const jobId = 'job-0197c0de-0000-7000-8000-00000000000a'
  const request = '0197c0de-0000-7000-8000-00000000000a'

  test('leads an outcome to the intent of its command, past what stands beside it', () => {
    const log = new ToldLog()
    log.add(
      'ClaimTaken',
      { kind: 'image', subject: '/a', domain: '1', mode: 'exclusive' },
      { commandId: 'c1', stream: 'image-1' },
    )
    log.add('BackingChainDetected', { disk: 'vda', layers: [] }, { commandId: 'c1' })
    const intent = log.add('DomainDestroyRequested', {}, { commandId: 'c1' })
    const outcome = log.add('DomainDestroyed', { files: [], restored: [] }, { commandId: 'c1' })
    expect(causesOf(outcome, log.events)).toEqual([{ event: intent, how: 'intent of the same command' }])
    expect(causesOf(intent, log.events)).toEqual([])
  })

  test('leads a pivot step by step to who asked for the job', () => {
    const log = new ToldLog()
    const asked = {
      jobId,
      disk: 'vda',
      kind: 'active_commit',
      base: 1,
      top: 2,
      onReady: 'keep',
      bytesPerSecond: 0n,
      owners: [],
    } as const
    log.add('BlockJobRequested', asked, { commandId: request })
    log.add('BlockJobReady', { jobId }, { commandId: 'c2', correlationId: request, causationId: request })
    log.add('BlockJobPivotRequested', { jobId }, { commandId: 'c3' })
    log.add('BlockJobPivoting', { jobId, from: '/b', to: '/a' }, { commandId: 'c4', correlationId: request })
    const data = { jobId, disk: 'vda', chain: [1], frozenMs: null, settledBy: 'hypervisor' } as const
    const pivoted = log.add('BlockJobPivoted', data, { commandId: 'c4', correlationId: request, causationId: request })
    expect(causesOf(pivoted, log.events).map((cause) => cause.event.recorded.type)).toEqual([
      'BlockJobPivoting',
      'BlockJobPivotRequested',
      'BlockJobRequested',
    ])
    expect(log.events.every((event) => bears(event, new Set(idsOf(pivoted))))).toBe(true)
  })

  test('follows a cause named by event id, and the request it belongs to', () => {
    const log = new ToldLog()
    const first = log.add('DomainSuspendRequested', {}, { commandId: 'c1', eventId: 'e1' })
    const second = log.add('DomainResumed', { cause: 'hypervisor' }, { commandId: 'c2', causationId: 'e1' })
    const third = log.add('DomainReset', { cause: 'guest' }, { commandId: 'c3', correlationId: 'c2' })
    expect(causesOf(second, log.events)).toEqual([{ event: first, how: 'caused it' }])
    expect(causesOf(third, log.events)).toEqual([
      { event: second, how: 'same request' },
      { event: first, how: 'caused it' },
    ])
    const fourth = log.add('DomainReset', { cause: 'guest' }, { commandId: 'c4', correlationId: 'c1' })
    expect(causesOf(fourth, log.events)).toEqual([{ event: first, how: 'same request' }])
  })
})

test('timeOfId() reads the time of ids of version 7 only', () => {
  expect(timeOfId('0197c0de-1234-7000-8000-000000000001')).toBe(BigInt(0x0197c0de1234) * 1000n)
  expect(timeOfId('0197c0de-1234-4000-8000-000000000001')).toBeNull()
  expect(timeOfId('c1')).toBeNull()
})

describe('chooseDomain()', () => {
  const old: KnownDomain = { uuid: 'u1', name: 'web', fromPosition: 1n, toPosition: 10n }
  const now: KnownDomain = { uuid: 'u2', name: 'web', fromPosition: 20n, toPosition: null }
  const other: KnownDomain = { uuid: 'u3', name: 'db', fromPosition: 2n, toPosition: null }
  const domains = [old, other, now]

  test.each([
    [5n, 'u1', 'the one that has the name then'],
    [15n, 'u1', 'the one that had it last'],
    [25n, 'u2', 'the one that has it again'],
    [0n, 'u1', 'the first that will have it'],
  ])('finds a name at @%s as %s: %s', (position, uuid) => {
    expect(chooseDomain(domains, { wanted: 'web', position })?.uuid).toBe(uuid)
  })

  test('finds a UUID in any case, and nothing else', () => {
    expect(chooseDomain(domains, { wanted: 'U3', position: 9n })?.name).toBe('db')
    expect(chooseDomain(domains, { wanted: 'w', position: 9n })).toBeNull()
  })
})

describe('splitChain()', () => {
  const version = (index: number, values: Partial<LayerVersion>): LayerVersion => ({
    disk: 'vda',
    index,
    ordinal: 0,
    role: 'active',
    path: `/${index}`,
    format: 'qcow2',
    virtualSizeBytes: 1n,
    createdBy: 'detection',
    fromPosition: 1n,
    toPosition: null,
    fromUs: 1n,
    ...values,
  })
  const versions = [
    version(1, { toPosition: 5n }),
    version(1, { fromPosition: 5n, fromUs: 5n, ordinal: 1, role: 'base', toPosition: 9n }),
    version(2, { fromPosition: 5n, fromUs: 5n, createdBy: 'snapshot s1', toPosition: 9n }),
    version(1, { fromPosition: 9n, fromUs: 9n }),
  ]

  test('gives the chain of a moment, each layer since it came', () => {
    const { layers, left } = splitChain(versions, 7n)
    expect(layers.map(({ index, fromPosition, role }) => [index, fromPosition, role])).toEqual([
      [2, 5n, 'active'],
      [1, 1n, 'base'],
    ])
    expect(left).toEqual([])
  })

  test('tells what left, and with which event', () => {
    const { layers, left } = splitChain(versions, 9n)
    expect(layers.map(({ index, fromPosition }) => [index, fromPosition])).toEqual([[1, 1n]])
    expect(left.map(({ path, toPosition }) => [path, toPosition])).toEqual([['/2', 9n]])
  })

  test('does not call a file gone that was numbered anew', () => {
    const adopted = [version(1, { toPosition: 5n }), version(7, { path: '/1', fromPosition: 5n })]
    expect(splitChain(adopted, 6n)).toMatchObject({ layers: [{ index: 7 }], left: [] })
  })

  test('knows nothing before the first version', () => {
    expect(splitChain(versions, 0n)).toEqual({ layers: [], left: [] })
  })
})
