import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AnyFact } from '../../src/events/catalogue.ts'
import {
  afterRun,
  checkDefine,
  decideUndefine,
  type DefineContext,
  type Domain,
  evolveDomain,
  noDomain,
  phaseWord,
  requireOff,
  requireRunning,
} from '../../src/model/domain.ts'
import { factOf } from '../support/facts.ts'
import { given } from '../support/given.ts'

const defined = factOf('DomainDefined')
const requested = factOf('DomainStartRequested')
const started = factOf('DomainStarted')
const running = [defined, requested, started]
const intents = [
  'DomainSuspendRequested',
  'DomainResumeRequested',
  'DomainResetRequested',
  'DomainShutdownRequested',
  'DomainDestroyRequested',
] as const
const ends = ['DomainDestroyed', 'DomainShutOff', 'DomainCrashed', 'DomainStartFailed'] as const

function after(...facts: readonly AnyFact[]): Domain {
  return facts.reduce(evolveDomain, noDomain)
}

describe('evolveDomain()', () => {
  test('takes a domain from its definition through a run', () => {
    expect(after(defined)).toMatchObject({ definition: { name: 'web' }, run: { phase: 'off' }, autostart: false })
    expect(after(defined, requested).run.phase).toBe('starting')
    expect(after(...running).run).toMatchObject({ phase: 'running', paused: false, requested: { domainId: 1 } })
    expect(after(defined, requested, factOf('DomainStarted', { paused: true })).run).toMatchObject({ paused: true })
    expect(after(...running, factOf('DomainSuspended')).run).toMatchObject({ paused: true })
    expect(after(...running, factOf('DomainSuspended'), factOf('DomainResumed')).run).toMatchObject({ paused: false })
  })

  test.each(ends)('ends the run at %s, and leaves nothing open', (end) => {
    const open = [factOf('DomainDestroyRequested'), factOf('SnapshotRequested'), factOf('BlockJobRequested')]
    const domain = after(...running, ...open, factOf(end))
    expect(domain).toMatchObject({ run: { phase: 'off' }, intent: null, snapshotIntent: null, granted: [] })
    expect(domain.definition).not.toBeNull()
  })

  test('follows the definition to the image that a job left behind, where there is a definition', () => {
    const followed = factOf('DomainDefinitionFollowed')
    expect(after(defined, followed).definition?.definitionSha256).toBe('1'.repeat(64))
    expect(after(...running, factOf('DomainUndefined'), followed).definition).toBeNull()
  })

  test('loses the autostart mark with the definition', () => {
    expect(after(defined, factOf('DomainAutostartChanged')).autostart).toBe(true)
    expect(after(defined, factOf('DomainAutostartChanged'), factOf('DomainUndefined')).autostart).toBe(false)
  })

  test('remembers the first owner of each file that a run changed', () => {
    const change = (path: string, fromUid: number) => ({ path, fromUid, fromGid: 0, fromMode: 0, toUid: 9, toGid: 9 })
    const domain = after(
      defined,
      factOf('DomainStartRequested', { owners: [change('/a', 1)] }),
      started,
      factOf('BlockJobRequested', { owners: [change('/a', 9), change('/b', 2)] }),
      factOf('BlockJobPivoted'),
    )
    expect(domain.granted.map(({ path, fromUid }) => [path, fromUid])).toEqual([
      ['/a', 1],
      ['/b', 2],
    ])
  })

  test.each([
    ['DomainSuspendRequested', factOf('DomainSuspended')],
    ['DomainResumeRequested', factOf('DomainResumed')],
    ['DomainResetRequested', factOf('DomainReset')],
    ['DomainShutdownRequested', factOf('DomainPowerButtonPressed')],
    ['DomainDestroyRequested', factOf('DomainDestroyed')],
  ] as const)('settles %s by its outcome or its failure, and by no other', (intent, outcome) => {
    const open = after(...running, factOf(intent))
    expect(open.intent).toBe(intent)
    expect(evolveDomain(open, outcome).intent).toBeNull()
    expect(evolveDomain(open, factOf('CommandFailed', { intent })).intent).toBeNull()
    const others = [
      factOf('DomainSuspended', { cause: 'hypervisor' }),
      factOf('DomainResumed', { cause: 'hypervisor' }),
      factOf('DomainReset', { cause: 'guest' }),
      factOf('CommandFailed', { intent: 'SnapshotRequested' }),
      factOf('CommandFailed', { intent: 'SomethingElse' }),
    ]
    for (const other of others) expect(evolveDomain(open, other).intent, other.type).toBe(intent)
  })

  test('settles a snapshot by its outcome or its failure', () => {
    const open = after(...running, factOf('SnapshotRequested'))
    expect(open.snapshotIntent?.name).toBe('s1')
    expect(evolveDomain(open, factOf('SnapshotCreated')).snapshotIntent).toBeNull()
    expect(evolveDomain(open, factOf('CommandFailed', { intent: 'SnapshotRequested' })).snapshotIntent).toBeNull()
    expect(evolveDomain(open, factOf('CommandFailed')).snapshotIntent).not.toBeNull()
  })

  test('never changes what it was given, and never keeps an intent beyond a run, whatever comes in whatever order', () => {
    const all = [
      ...intents.map((type) => factOf(type)),
      ...ends.map((type) => factOf(type)),
      ...running,
      factOf('SnapshotRequested'),
      factOf('SnapshotCreated'),
      factOf('DomainSuspended'),
      factOf('DomainResumed'),
      factOf('DomainUndefined'),
      factOf('BlockJobRequested'),
      factOf('BlockJobFailed'),
    ]
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...all), { maxLength: 30 }), fc.constantFrom(...ends), (facts, end) => {
        const before = facts.reduce<Domain>((domain, fact) => evolveDomain(deepFreeze(domain), fact), noDomain)
        const ended = evolveDomain(deepFreeze(before), factOf(end))
        expect([ended.intent, ended.snapshotIntent, ended.run.phase]).toEqual([null, null, 'off'])
      }),
    )
  })
})

describe('checkDefine()', () => {
  const context: DefineContext = { uuid: 'u', name: 'web', nameHolder: null }
  const transient = [...running, factOf('DomainUndefined')]

  test.each([
    ['a new domain', [], {}, null],
    ['the same domain again', [defined], { nameHolder: 'u' }, null],
    ['a transient domain under its name', transient, { nameHolder: 'u' }, null],
    ['a name that is taken', [], { nameHolder: 'other' }, "domain 'web' already exists with uuid other"],
    ['another name for a known UUID', [defined], { name: 'mail' }, "domain 'web' is already defined with uuid u"],
    ['another name for a transient one', transient, { name: 'mail' }, "domain 'web' is already defined with uuid u"],
  ] as const)('judges %s', (...[, facts, change, says]) => {
    const check = () => checkDefine(after(...facts), { ...context, ...change })
    if (says === null) expect(check).not.toThrow()
    else expect(check).toThrow(says)
  })
})

describe('decideUndefine()', () => {
  const undefining = {
    initial: noDomain,
    evolve: evolveDomain,
    decide: (dropSnapshots: boolean, domain: Domain) => decideUndefine(domain, { dropSnapshots }),
  }
  const gone = [factOf('DomainUndefined'), factOf('DomainForgotten')]
  const withSnapshot = [defined, factOf('SnapshotCreated')]

  test('forgets a domain that is off, and leaves a running one to the end of its run', () => {
    given(undefining, [defined])
      .when(false)
      .thenFacts(...gone)
    given(undefining, running).when(false).thenFacts(factOf('DomainUndefined'))
    expect(afterRun(after(...running, factOf('DomainUndefined')))).toEqual([factOf('DomainForgotten')])
    expect(afterRun(after(...running))).toEqual([])
    expect(afterRun(after(defined))).toEqual([])
  })

  test('refuses a domain that has no definition, and one that is off with snapshots unless they go too', () => {
    given(undefining, []).when(true).thenThrows('cannot undefine transient domain')
    given(undefining, withSnapshot).when(false).thenThrows('cannot delete inactive domain with 1 snapshots')
    given(undefining, withSnapshot)
      .when(true)
      .thenFacts(...gone)
    given(undefining, [...withSnapshot, requested, started])
      .when(false)
      .thenFacts(factOf('DomainUndefined'))
  })

  test('leaves no snapshot and no chain behind', () => {
    const domain = after(defined, factOf('BackingChainDetected'), factOf('SnapshotCreated'), ...gone)
    expect([domain.snapshots, domain.chains.byDisk]).toEqual([{ parents: {}, current: null }, {}])
  })
})

describe('requireRunning(), requireOff() and phaseWord()', () => {
  test('say where a run is', () => {
    const states = [[defined], [defined, requested], running, [...running, factOf('DomainSuspended')]]
    expect(states.map((facts) => phaseWord(after(...facts).run))).toEqual(['shut off', 'starting', 'running', 'paused'])
    expect(requireRunning(after(...running)).started.process.pid).toBe(42)
    expect(() => requireRunning(after(defined, requested))).toThrow('domain is not running')
    expect(() => requireOff(after(defined, requested))).toThrow('domain is already running')
    expect(() => requireOff(after(defined))).not.toThrow()
  })
})

function deepFreeze<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const member of Object.values(value)) deepFreeze(member)
  }
  return value
}
