import type { DriverFact } from '../driver/driver.ts'
import { AsyncQueue } from '../util/async-queue.ts'
import { Fault } from '../util/fault.ts'
import type { Timer } from '../util/timers.ts'
import { nextStep } from './settle-machine.ts'
import { accountUntil, type TestMachine, type TestPace } from './test-machine.ts'
import type { TestWorld } from './test-world.ts'

/** What a change of a machine gives: the machine afterwards and what is reported of it. */
export interface MachineChange {
  readonly machine: TestMachine
  readonly facts: readonly DriverFact[]
}

// A step gives two facts at most, so that many places are kept free for the one that begins just below the limit.
const factsPerStep = 2

/**
 * Lets the machines of a world run and tells what they do. Machines that this daemon has attached to are run by a timer; the others
 * run on unseen and are caught up with when somebody looks. While too many facts wait to be read, time stands still instead of a fact
 * being lost.
 */
export class MachineRunner {
  readonly #world: TestWorld
  readonly #pace: TestPace
  readonly #maxFacts: number
  readonly #facts: AsyncQueue<DriverFact>
  readonly #attached = new Set<string>()
  #timer: Timer | null = null

  constructor(options: { readonly world: TestWorld; readonly pace: TestPace; readonly maxWaitingFacts: number }) {
    this.#world = options.world
    this.#pace = options.pace
    this.#maxFacts = options.maxWaitingFacts
    this.#facts = new AsyncQueue({
      max: options.maxWaitingFacts + factsPerStep,
      onTake: () => {
        if (this.#timer === null) this.#schedule()
      },
    })
  }

  /** The machine as it is now; null when its process is gone. */
  current(uuid: string): TestMachine | null {
    this.#settle(uuid)
    const machine = this.#world.machine(uuid)
    return machine === null ? null : accountUntil(machine, this.#nowMs())
  }

  /** From now on what this machine does is reported. What it did before is seen by looking. */
  attach(uuid: string): void {
    this.#settle(uuid)
    this.#attached.add(uuid)
    this.#schedule()
  }

  /** Forgets all machines; they run on unseen. */
  detach(): void {
    this.#attached.clear()
    this.#timer?.cancel()
    this.#timer = null
  }

  /** Puts a changed machine in place. Throws a Fault, and changes nothing, when too many facts wait to be read. */
  put({ machine, facts }: MachineChange): void {
    this.#checkRoom(machine.name)
    this.#world.putMachine(machine)
    this.#report(machine.uuid, facts)
    this.#schedule()
  }

  /** Ends a machine's process. */
  end(uuid: string, facts: readonly DriverFact[]): void {
    this.#world.removeMachine(uuid)
    this.#report(uuid, facts)
    this.#attached.delete(uuid)
    this.#schedule()
  }

  /** Reports a fact of an attached machine that changes nothing in it; left out when too many wait. */
  report(fact: DriverFact): void {
    if (this.#facts.length < this.#maxFacts) this.#report(fact.uuid, [fact])
  }

  /** What happens, in order; one consumer. */
  facts(signal: AbortSignal): AsyncIterable<DriverFact> {
    return this.#facts.values(signal)
  }

  #settle(uuid: string): void {
    for (;;) {
      const machine = this.#world.machine(uuid)
      if (machine === null || this.#isHeld(uuid)) return
      const step = nextStep(machine, this.#pace)
      if (step === null || step.atMs > this.#nowMs()) return
      if (step.machine === null) this.end(uuid, step.facts)
      else {
        this.#world.putMachine(step.machine)
        this.#report(uuid, step.facts)
      }
    }
  }

  #schedule(): void {
    this.#timer?.cancel()
    this.#timer = null
    if (this.#facts.length >= this.#maxFacts) return
    let firstMs: number | null = null
    for (const uuid of this.#attached) {
      const machine = this.#world.machine(uuid)
      const atMs = machine === null ? null : (nextStep(machine, this.#pace)?.atMs ?? null)
      if (atMs !== null && (firstMs === null || atMs < firstMs)) firstMs = atMs
    }
    if (firstMs === null) return
    this.#timer = this.#world.timers.after(Math.max(0, firstMs - this.#nowMs()), () => {
      this.#timer = null
      for (const uuid of this.#attached) this.#settle(uuid)
      this.#schedule()
    })
  }

  #report(uuid: string, facts: readonly DriverFact[]): void {
    if (!this.#attached.has(uuid)) return
    for (const fact of facts) {
      if (this.#facts.push(fact)) continue
      throw new Fault(
        'internal',
        `Cannot report "${fact.kind}" of domain ${uuid}: ${this.#facts.length} facts wait to be read`,
      )
    }
  }

  #isHeld(uuid: string): boolean {
    return this.#attached.has(uuid) && this.#facts.length >= this.#maxFacts
  }

  #checkRoom(name: string): void {
    if (this.#facts.length < this.#maxFacts) return
    throw new Fault('resource_busy', `Cannot change domain "${name}": ${this.#facts.length} facts wait to be read`)
  }

  #nowMs(): number {
    return this.#world.timers.nowMs()
  }
}
