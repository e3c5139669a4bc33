import { setTimeout as sleep } from 'node:timers/promises'
import type { Capabilities } from './capabilities.ts'
import { faults, type FaultTools, type Victim } from './faults.ts'
import { SeededRandom } from './seeded-random.ts'

/** What was done to a run. */
export interface FaultCounts {
  readonly kills: Readonly<Record<Victim, number>>
  readonly byName: ReadonlyMap<string, number>
  readonly cuts: number
}

/** How often faults come, in milliseconds between one's end and the next; `only`: those that are chosen from, all where absent. */
export interface FaultPace {
  readonly leastPauseMs: number
  readonly mostPauseMs: number
  readonly only?: readonly string[]
}

/** How likely a fault strikes although the one before is not overcome yet. */
const strikesAtOnce = 0.25
const cutsOpening = 0.1
const progressAcknowledged = 20
const progressLimitMs = 8_000

/** What a driver hears and tells. */
export interface FaultDriverOptions {
  readonly seed: number
  readonly trace: (line: string) => void
  /** Appends acknowledged so far: while nothing gets on, a fault would hit nothing. */
  readonly acknowledged: () => number
}

/** Brings faults upon a run until the signal, by the seed. */
export class FaultDriver {
  readonly #tools: FaultTools
  readonly #kills: Record<Victim, number> = { writer: 0, server: 0, backend: 0, consumer: 0 }
  readonly #byName = new Map<string, number>()
  readonly #random: { readonly choices: SeededRandom; readonly cuts: SeededRandom }
  readonly #options: FaultDriverOptions
  #cuts = 0

  constructor(tools: Omit<FaultTools, 'random' | 'killed'>, options: FaultDriverOptions) {
    const { seed } = options
    this.#options = options
    this.#random = { choices: new SeededRandom(seed, 'faults'), cuts: new SeededRandom(seed, 'cuts') }
    this.#tools = {
      ...tools,
      random: new SeededRandom(seed, 'fault details'),
      killed: (victim) => {
        this.#kills[victim] += 1
      },
    }
  }

  /** How often `kill -9` hit so far. */
  get killed(): number {
    return Object.values(this.#kills).reduce((sum, count) => sum + count, 0)
  }

  get counts(): FaultCounts {
    return { kills: this.#kills, byName: this.#byName, cuts: this.#cuts }
  }

  /** One fault after the other, with pauses in which the run gets on. */
  async run(capabilities: Capabilities, { leastPauseMs, mostPauseMs, only }: FaultPace): Promise<void> {
    const { cluster, signal } = this.#tools
    const able = { ...capabilities, smallDisk: cluster.smallDisk !== null }
    const possible = faults.filter(
      ({ name, needs }) => (needs === undefined || able[needs]) && (only === undefined || only.includes(name)),
    )
    while (possible.length > 0) {
      await pause(this.#random.choices.between(leastPauseMs, mostPauseMs), signal)
      if (!this.#random.choices.chance(strikesAtOnce)) await this.#progress()
      if (signal.aborted) return
      const fault = this.#random.choices.weighted(possible)
      this.#byName.set(fault.name, (this.#byName.get(fault.name) ?? 0) + 1)
      const begun = performance.now()
      await fault.act(this.#tools)
      this.#options.trace(`${fault.name}: ${(performance.now() - begun).toFixed(0)} ms`)
    }
  }

  /** Waits until something was appended since, but not for long: what does not get on by itself is hit again. */
  async #progress(): Promise<void> {
    const wanted = this.#options.acknowledged() + progressAcknowledged
    const deadline = performance.now() + progressLimitMs
    while (this.#options.acknowledged() < wanted && performance.now() < deadline) {
      if (this.#tools.signal.aborted) return
      await sleep(20)
    }
  }

  /** Breaks the writer's connection again and again, after any number of bytes of its dialogue in either direction. */
  async cutConnections({ leastPauseMs, mostPauseMs }: FaultPace): Promise<void> {
    const { cluster, writer, signal } = this.#tools
    const random = this.#random.cuts
    while (!signal.aborted) {
      await pause(random.between(leastPauseMs, mostPauseMs), signal)
      // Opening takes so many round trips that it would never get through.
      if (writer.path === null && !random.chance(cutsOpening)) continue
      // The answer to a commit has 48 bytes, to one with new names some 150; a commit of one event has 300, of a batch some thousands.
      const direction = random.chance(0.6) ? 'toClient' : 'toServer'
      cluster.proxy.arm({ direction, afterBytes: random.between(0, direction === 'toClient' ? 200 : 5_000) })
      this.#cuts = cluster.proxy.cutsMade
    }
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined)
}
