import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AnyFact } from '../../src/events/catalogue.ts'
import { evolveChains, newDrifts, noChains } from '../../src/model/chain.ts'
import { type ChainEffect, chainAfter, invalidAfterCancel } from '../../src/model/chain-effects.ts'
import { chainAfterJob } from '../../src/testdriver/chain-after-job.ts'
import { factOf, layerOf } from '../support/facts.ts'

const chain = [5, 4, 3, 2, 1]

describe('chainAfter()', () => {
  test.each([
    ['pull of everything', { kind: 'pull', base: -1, top: 5 }, [5]],
    ['pull down to the bottom', { kind: 'pull', base: 1, top: 5 }, [5, 1]],
    ['pull down to the middle', { kind: 'pull', base: 3, top: 5 }, [5, 3, 2, 1]],
    ['pull of nothing', { kind: 'pull', base: 4, top: 5 }, [5, 4, 3, 2, 1]],
    ['pull into the middle', { kind: 'pull', base: 1, top: 3 }, [5, 4, 3, 1]],
    ['commit of one layer', { kind: 'commit', base: 3, top: 4 }, [5, 3, 2, 1]],
    ['commit down to the bottom', { kind: 'commit', base: 1, top: 4 }, [5, 1]],
    ['active commit into the next', { kind: 'active_commit', base: 4, top: 5 }, [4, 3, 2, 1]],
    ['active commit into the middle', { kind: 'active_commit', base: 3, top: 5 }, [3, 2, 1]],
    ['active commit into the bottom', { kind: 'active_commit', base: 1, top: 5 }, [1]],
  ] as const)('%s', (_what, effect, left) => {
    expect(chainAfter(chain, effect)).toEqual(left)
  })

  /** A chain, and a job that is possible on it. */
  const anyJob = fc
    .tuple(fc.integer({ min: 2, max: 30 }), fc.nat(), fc.nat(), fc.constantFrom('pull', 'commit', 'active_commit'))
    .map(([length, a, b, kind]) => {
      const layers = Array.from({ length }, (_, at) => 100 + length - at)
      const least = kind === 'commit' && length > 2 ? 1 : 0
      const topAt = kind === 'commit' ? least + (a % (length - 1 - least)) : 0
      const baseAt = topAt + 1 + (b % (length - topAt - (kind === 'pull' ? 0 : 1)))
      const effect: ChainEffect = {
        kind: kind === 'commit' && topAt === 0 ? 'active_commit' : kind,
        top: layers[topAt] ?? 0,
        base: layers[baseAt] ?? -1,
      }
      return { layers, effect }
    })

  test('leaves some of the layers, in their order, and base and what is below it always', () => {
    fc.assert(
      fc.property(anyJob, ({ layers, effect }) => {
        const after = chainAfter(layers, effect)
        expect(layers.filter((index) => after.includes(index))).toEqual(after)
        expect(new Set(after).size).toBe(after.length)
        expect(after.length).toBeGreaterThan(0)
        const below = effect.base === -1 ? [] : layers.slice(layers.indexOf(effect.base))
        expect(after.slice(after.length - below.length)).toEqual(below)
        if (effect.kind === 'pull') expect(after[0]).toBe(layers[0])
      }),
    )
  })

  test('says the same as the hypervisor that was written without it', () => {
    fc.assert(
      fc.property(anyJob, ({ layers, effect }) => {
        const job = {
          jobId: 'j',
          target: 'vda',
          kind: effect.kind,
          topIndex: effect.top,
          baseIndex: effect.base === -1 ? null : effect.base,
          status: 'concluded',
          sinceMs: 0,
          currentBytes: 0n,
          totalBytes: 0n,
          bytesPerSecond: 0n,
          finalizing: false,
          error: null,
        } as const
        const there = chainAfterJob(
          layers.map((index) => ({ index, path: `/l${index}`, format: 'qcow2' })),
          job,
        )
        expect(chainAfter(layers, effect)).toEqual(there.map((layer) => layer.index))
      }),
    )
  })

  test('names as invalid exactly the layers between top and base that no longer hold what they did', () => {
    expect(invalidAfterCancel(chain, { kind: 'active_commit', base: 1, top: 5 })).toEqual([4, 3, 2])
    expect(invalidAfterCancel(chain, { kind: 'commit', base: 2, top: 3 })).toEqual([])
    expect(invalidAfterCancel(chain, { kind: 'pull', base: -1, top: 5 })).toEqual([])
  })
})

describe('evolveChains()', () => {
  const detected = factOf('BackingChainDetected', { layers: [2, 1].map(layerOf) })
  const after = (...facts: readonly AnyFact[]) => facts.reduce(evolveChains, noChains)
  const indexes = (chains: ReturnType<typeof after>, disk = 'vda') => chains.byDisk[disk]?.map((layer) => layer.index)

  test('knows who put a layer into the chain', () => {
    const chains = after(detected, factOf('SnapshotCreated'))
    expect(chains.byDisk['vda']?.map((layer) => layer.createdBy)).toEqual(['snapshot s1', 'detection', 'detection'])
  })

  test('never gives out the index of a layer that left', () => {
    const chains = after(detected, factOf('SnapshotCreated'), factOf('BlockJobPivoted', { chain: [1] }))
    expect(indexes(chains)).toEqual([1])
    expect(chains.nextIndex).toBe(4)
    expect(after(detected, factOf('BackingChainForgotten')).nextIndex).toBe(3)
    expect(after(detected, factOf('DomainForgotten'))).toMatchObject({ byDisk: {}, nextIndex: 3 })
  })

  test.each([
    factOf('DomainDestroyed', { files: [{ index: 1, path: '/l1', file: { ...layerOf(1).file, inode: 99n } }] }),
    factOf('DomainShutOff', { files: [{ index: 1, path: '/l1', file: { ...layerOf(1).file, inode: 99n } }] }),
    factOf('DomainCrashed', { files: [{ index: 1, path: '/l1', file: { ...layerOf(1).file, inode: 99n } }] }),
    factOf('BackingChainVerified', { files: [{ index: 1, path: '/l1', file: { ...layerOf(1).file, inode: 99n } }] }),
  ])('takes the files from $type', (fact) => {
    expect(after(detected, fact).byDisk['vda']?.map((layer) => layer.file.inode)).toEqual([2n, 99n])
  })

  test('keeps what is recorded of a file that is missing at the end of the run', () => {
    const missing = factOf('DomainDestroyed', { files: [{ index: 1, path: '/l1', file: null }] })
    expect(after(detected, missing).byDisk).toEqual(after(detected).byDisk)
  })

  test('leaves a disk alone that does not take part in a snapshot', () => {
    const disks = [{ disk: 'vda', snapshot: 'no', overlay: null }]
    expect(indexes(after(detected, factOf('SnapshotCreated', { disks })))).toEqual([2, 1])
  })

  test('keeps a chain without a definition while the domain runs: only the end of everything forgets it', () => {
    expect(indexes(after(detected, factOf('DomainUndefined')))).toEqual([2, 1])
  })

  test('remembers a drift until the chain is adopted, verified, read anew or used', () => {
    const drift = factOf('DriftDetected')
    const drifted = after(detected, drift)
    expect(newDrifts(drifted, [drift])).toEqual([])
    const worse = factOf('DriftDetected', { why: 'it is missing' })
    expect(newDrifts(drifted, [worse])).toEqual([worse])
    expect(newDrifts(drifted, [factOf('DriftDetected', { disk: 'toString' })])).toHaveLength(1)
    const ends = [
      factOf('BackingChainAdopted'),
      factOf('BackingChainVerified'),
      factOf('BackingChainDetected'),
      factOf('BackingChainForgotten'),
      factOf('DomainStartRequested'),
      factOf('DomainForgotten'),
    ]
    for (const end of ends) expect(newDrifts(after(detected, drift, end), [drift]), end.type).toEqual([drift])
  })
})
