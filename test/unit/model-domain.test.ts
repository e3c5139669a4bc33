import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AnyFact } from '../../src/events/catalogue.ts'
import { decideRelease, decideTake, evolveHolders, type Claim, type Holders } from '../../src/model/claims.ts'
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
import { evolveValidCaps } from '../../src/model/emulator-caps.ts'
import { commandOfJob, jobIdOf } from '../../src/model/job-id.ts'
import { checkNewSnapshot, decideSnapshotDelete } from '../../src/model/snapshots.ts'
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
  ] as const)('judges %s', (_what, facts, change, says) => {
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

describe('snapshots', () => {
  const created = (name: string, parent: string | null, metadata = true) =>
    factOf('SnapshotCreated', { name, parent, metadata, disks: [] })
  const tree = [created('a', null), created('b', 'a'), created('c', 'b'), created('d', 'b')]
  const deleted = (name: string, newParentOfChildren: string | null) =>
    factOf('SnapshotDeleted', { name, newParentOfChildren })
  const deleting = {
    initial: noDomain,
    evolve: evolveDomain,
    decide: (request: Parameters<typeof decideSnapshotDelete>[1], domain: Domain) =>
      decideSnapshotDelete(domain.snapshots, request),
  }
  const one = { name: 'b', children: false, childrenOnly: false }

  test('are deleted alone, with what is below them, or only what is below them: children first', () => {
    given(deleting, tree).when(one).thenFacts(deleted('b', 'a'))
    given(deleting, tree)
      .when({ ...one, children: true })
      .thenFacts(deleted('c', 'b'), deleted('d', 'b'), deleted('b', 'a'))
    given(deleting, tree)
      .when({ ...one, childrenOnly: true })
      .thenFacts(deleted('c', 'b'), deleted('d', 'b'))
  })

  test.each(['x', 'toString', '__proto__', 'constructor'])('refuse to delete %s, which is not recorded', (name) => {
    given(deleting, tree)
      .when({ ...one, name })
      .thenThrows(`no domain snapshot with matching name '${name}'`)
  })

  test('of any name can be recorded, found and deleted again', () => {
    fc.assert(
      fc.property(fc.constantFrom('toString', '__proto__', 'constructor', 'x', ''), (name) => {
        const domain = after(created(name, null), created('child', name))
        expect(() => checkNewSnapshot(domain.snapshots, name)).toThrow('a snapshot of that name exists already')
        const left = decideSnapshotDelete(domain.snapshots, { ...one, name }).reduce(evolveDomain, domain)
        expect(left.snapshots).toEqual({ parents: { child: null }, current: 'child' })
      }),
    )
  })

  test('give their children to their parent, and pass the current mark up', () => {
    const { snapshots } = after(...tree, deleted('b', 'a'))
    expect(snapshots).toEqual({ parents: { a: null, c: 'a', d: 'a' }, current: 'd' })
    expect(after(...tree, deleted('d', 'b')).snapshots.current).toBe('b')
    expect(after(...tree, deleted('c', 'b')).snapshots.current).toBe('d')
    expect(after(created('a', null), deleted('a', null)).snapshots).toEqual({ parents: {}, current: null })
  })

  test('without metadata are no part of the tree', () => {
    expect(after(created('a', null, false)).snapshots).toEqual({ parents: {}, current: null })
  })

  test('always form a forest, whatever is created and deleted', () => {
    const anyStep = fc.tuple(fc.boolean(), fc.nat(6), fc.boolean(), fc.boolean())
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 40 }), (steps) => {
        let domain = noDomain
        for (const [isNew, number, children, childrenOnly] of steps) {
          const name = `s${number}`
          const isKnown = Object.hasOwn(domain.snapshots.parents, name)
          if (isNew === isKnown) continue
          const facts = isNew
            ? [created(name, domain.snapshots.current)]
            : decideSnapshotDelete(domain.snapshots, { name, children, childrenOnly })
          domain = facts.reduce(evolveDomain, domain)
          const { parents, current } = domain.snapshots
          if (current !== null) expect(parents).toHaveProperty(current)
          for (const start of Object.keys(parents)) {
            let depth = 0
            for (let at: string | null = start; at !== null; at = parents[at] ?? null) {
              expect(Object.hasOwn(parents, at)).toBe(true)
              expect(++depth).toBeLessThan(10)
            }
          }
        }
      }),
    )
  })
})

describe('claims', () => {
  const claim: Claim = { kind: 'image', subject: '/l1', domain: 'u', mode: 'exclusive' }
  const taking = {
    initial: {} satisfies Holders,
    evolve: evolveHolders,
    decide: (wanted: Partial<Claim>, holders: Holders) => decideTake({ ...claim, ...wanted }, holders),
  }
  const releasing = {
    ...taking,
    decide: (domain: string, holders: Holders) => decideRelease({ kind: 'image', subject: '/l1', domain }, holders),
  }
  const taken = (domain: string, mode: Claim['mode']) => factOf('ClaimTaken', { domain, mode })

  test('are for one alone, or for many who share', () => {
    given(taking, []).when({}).thenFacts(taken('u', 'exclusive'))
    given(taking, [taken('v', 'shared')])
      .when({ mode: 'shared' })
      .thenFacts(taken('u', 'shared'))
    given(taking, [taken('v', 'exclusive')])
      .when({})
      .thenThrows('Cannot use image "/l1": domain v has it')
    given(taking, [taken('v', 'exclusive')])
      .when({ mode: 'shared' })
      .thenThrows('Cannot use image "/l1": domain v has it')
    given(taking, [taken('v', 'shared')])
      .when({})
      .thenThrows('domain v has it as part of a backing chain')
  })

  test('are taken once, made stronger, and never weaker', () => {
    given(taking, [taken('u', 'exclusive')])
      .when({})
      .thenFacts()
    given(taking, [taken('u', 'exclusive')])
      .when({ mode: 'shared' })
      .thenFacts()
    given(taking, [taken('u', 'shared')])
      .when({})
      .thenFacts(taken('u', 'exclusive'))
    given(taking, [taken('u', 'shared'), taken('v', 'shared')])
      .when({})
      .thenThrows('domain v has it')
  })

  test('are given back by who has them, once', () => {
    const released = factOf('ClaimReleased')
    given(releasing, [taken('u', 'exclusive')])
      .when('u')
      .thenFacts(released)
    given(releasing, [taken('u', 'exclusive'), released])
      .when('u')
      .thenFacts()
    given(releasing, [taken('v', 'exclusive')])
      .when('u')
      .thenFacts()
    given(taking, [taken('v', 'exclusive'), factOf('ClaimReleased', { domain: 'v' })])
      .when({})
      .thenFacts(taken('u', 'exclusive'))
  })

  test('never have two holders of whom one is alone', () => {
    const anyStep = fc.record({
      domain: fc.constantFrom('a', 'b', 'c'),
      mode: fc.constantFrom<Claim['mode']>('exclusive', 'shared'),
      isTake: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 30 }), (steps) => {
        let holders: Holders = {}
        for (const { domain, mode, isTake } of steps) {
          const wanted = { ...claim, domain, mode }
          try {
            holders = (isTake ? decideTake(wanted, holders) : decideRelease(wanted, holders)).reduce(
              evolveHolders,
              holders,
            )
          } catch {
            // Refused: nothing changed.
          }
          const modes = Object.values(holders)
          expect(modes.includes('exclusive') && modes.length > 1).toBe(false)
        }
      }),
    )
  })
})

describe('evolveValidCaps()', () => {
  const caps = (type: 'EmulatorProbed' | 'EmulatorInvalidated', capsId: string): AnyFact =>
    type === 'EmulatorProbed'
      ? { type, schema: 1, data: { ...probed, capsId } }
      : { type, schema: 1, data: { capsId, binary: 'b', reason: 'kernel_changed', was: '', is: '', detectedBy: '' } }
  const probed = {
    binary: 'b',
    arch: '',
    emulatorVersion: 1,
    package: '',
    documentSha256: '',
    conversationSha256: '',
    durationMs: 0,
    identity: {
      resolvedPath: '',
      device: 0n,
      inode: 0n,
      sizeBytes: 0n,
      ctimeNs: 0n,
      sha256: '',
      executablePath: '',
      kvmUsable: false,
      moduleDirectory: null,
      moduleDirectoryMtimeNs: null,
      kernel: '',
      microcode: null,
      hostCpu: '',
      nestedKvm: false,
      uid: 0,
      gid: 0,
    },
  }
  const valid = (...facts: readonly AnyFact[]) => facts.reduce(evolveValidCaps, null)

  test('is the last version that was probed and not invalidated', () => {
    const { identity } = probed
    const reprobed: AnyFact = {
      type: 'EmulatorReprobed',
      schema: 1,
      data: { capsId: '1', binary: 'b', identity, durationMs: 0 },
    }
    const failed: AnyFact = { type: 'EmulatorProbeFailed', schema: 1, data: { binary: 'b', error: '', file: null } }
    expect(valid(caps('EmulatorProbed', '1'))).toBe('1')
    expect(valid(caps('EmulatorProbed', '1'), caps('EmulatorInvalidated', '1'))).toBeNull()
    expect(valid(caps('EmulatorProbed', '1'), caps('EmulatorProbed', '2'), caps('EmulatorInvalidated', '1'))).toBe('2')
    expect(valid(caps('EmulatorProbed', '1'), caps('EmulatorInvalidated', '1'), reprobed)).toBe('1')
    expect(valid(caps('EmulatorProbed', '1'), failed)).toBeNull()
  })
})

describe('jobIdOf() and commandOfJob()', () => {
  test('undo each other', () => {
    expect(jobIdOf('01a1')).toBe('job-01a1')
    expect([commandOfJob('job-01a1'), commandOfJob('other')]).toEqual(['01a1', 'other'])
  })
})

function deepFreeze<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const member of Object.values(value)) deepFreeze(member)
  }
  return value
}
