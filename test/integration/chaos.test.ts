import { describe, expect, test } from 'vitest'
import { brokenBuilds, type BrokenName, brokenNames } from '../chaos/broken-builds.ts'
import { type ChaosOptions, type ChaosResult, runChaos } from '../chaos/chaos-run.ts'

const never = 3_600_000
const noFaults = { leastPauseMs: never, mostPauseMs: never }
const histories = 3

/** The faults that bring each broken build to light soonest; the long runs throw all of them at each. */
const faultsFor: Readonly<Record<BrokenName, Pick<ChaosOptions, 'faults' | 'cuts' | 'atLeast'>>> = {
  'early-ack': { ...often(['kill the writer']), cuts: noFaults },
  'trusts-sequence': { faults: noFaults, cuts: noFaults },
  'blind-retry': { faults: noFaults, cuts: { leastPauseMs: 50, mostPauseMs: 200 } },
  'position-apart': { ...often(['kill a consumer']), cuts: noFaults },
  'async-commit': { ...often(['kill the server']), cuts: noFaults },
  'ignores-revision': { faults: noFaults, cuts: noFaults },
  'splits-appends': { faults: noFaults, cuts: noFaults },
}

function often(only: readonly string[]) {
  return { faults: { leastPauseMs: 300, mostPauseMs: 700, only }, atLeast: { kills: 2, acknowledged: 80 } }
}

function run(options: Partial<ChaosOptions>): Promise<ChaosResult> {
  return runChaos({
    seed: 1,
    durationMs: 2_000,
    target: 'ours',
    broken: null,
    atLeast: { kills: 0, acknowledged: 150 },
    catchUpLimitMs: 60_000,
    clients: 16,
    thinkMs: 20,
    restores: false,
    onSmallDisk: false,
    peersDirectory: null,
    signal: new AbortController().signal,
    say: () => undefined,
    trace: () => undefined,
    faults: noFaults,
    cuts: noFaults,
    ...options,
  })
}

describe('npm run chaos', () => {
  test('finds nothing wrong with the event store, with its backup and its restore', async () => {
    const { findings, faults, acknowledged, delivered, events, restored } = await run({
      durationMs: 6_000,
      atLeast: { kills: 5, acknowledged: 100 },
      faults: { leastPauseMs: 100, mostPauseMs: 500 },
      cuts: { leastPauseMs: 50, mostPauseMs: 400 },
      restores: true,
    })
    expect(findings.first).toEqual([])
    expect(Object.values(faults.kills).reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(5)
    expect(acknowledged).toBeGreaterThanOrEqual(100)
    expect(delivered).toMatchObject({ inside: events, outside: events })
    expect(restored).toMatch(/events into a new cluster, \d+ files, root [0-9a-f]{64}$/)
  })

  test.each(brokenNames.map((name) => ({ name, what: brokenBuilds[name].what })))(
    'finds the build "$name": $what',
    async ({ name }) => {
      const wanted: readonly string[] = brokenBuilds[name].shows
      const found: string[] = []
      for (let seed = 1; seed <= histories && !found.some((kind) => wanted.includes(kind)); seed += 1) {
        // What is lost never arrives: nothing is gained by waiting long for it.
        const short = { durationMs: 1_500 * seed, catchUpLimitMs: 1_500 }
        const { findings } = await run({ seed, broken: name, ...short, ...faultsFor[name] })
        found.push(...findings.counts.keys())
      }
      expect(wanted).toEqual(expect.arrayContaining([expect.toBeOneOf(found)]))
    },
  )
})
