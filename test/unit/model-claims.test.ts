import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AnyFact } from '../../src/events/catalogue.ts'
import { type Claim, decideRelease, decideTake, evolveHolders, type Holders } from '../../src/model/claims.ts'
import { evolveValidCaps } from '../../src/model/emulator-caps.ts'
import { commandOfJob, jobIdOf } from '../../src/model/job-id.ts'
import { factOf } from '../support/facts.ts'
import { given } from '../support/given.ts'

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
      ? { type, schema: 2, data: { ...probed, capsId } }
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
      executable: null,
      daemonBuild: null,
      cpuid: null,
      secureGuest: null,
      firmware: null,
    },
  }
  const valid = (...facts: readonly AnyFact[]) => facts.reduce(evolveValidCaps, null)

  test('is the last version that was probed and not invalidated', () => {
    const { identity } = probed
    const reprobed: AnyFact = {
      type: 'EmulatorReprobed',
      schema: 2,
      data: { capsId: '1', binary: 'b', identity, durationMs: 0 },
    }
    const failed: AnyFact = {
      type: 'EmulatorProbeFailed',
      schema: 2,
      data: { binary: 'b', error: '', file: null, identity: null },
    }
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
