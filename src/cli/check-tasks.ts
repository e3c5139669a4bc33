import { BoundedMap } from '../eventstore/bounded-map.ts'
import type { AuditedEvent } from './audit-capabilities.ts'
import { type CheckResult, Findings } from './check-result.ts'

/** Commands that are remembered while the log is read: a command's events stand near each other. */
const mostCommands = 100_000

/** Facts that a refused command may leave behind: what was learned on the way to the refusal, not what was changed. */
const learned: ReadonlySet<string> = new Set([
  'CommandRefused',
  'RefusalsCounted',
  'DriftDetected',
  'EmulatorProbed',
  'EmulatorReprobed',
  'EmulatorProbeFailed',
  'EmulatorInvalidated',
])

/** I2 and I10 over the whole log: a refused command changed nothing, and no task saw two capability versions. */
export class TaskCheck {
  readonly #changes = new BoundedMap<string, string>(mostCommands)
  readonly #versions = new BoundedMap<string, string>(mostCommands)
  readonly #refused = new Findings()
  readonly #mixed = new Findings()
  #refusals = 0
  #tasks = 0

  take({ position, commandId, capsId, fact }: AuditedEvent): void {
    if (fact.type === 'CommandRefused') {
      this.#refusals += fact.data.count
      const change = this.#changes.get(commandId)
      if (change !== undefined)
        this.#refused.add(`@${position} refuses command ${commandId}, which has recorded ${change}`)
    }
    if (fact.type === 'RefusalsCounted') this.#refusals += fact.data.count
    if (learned.has(fact.type)) return
    this.#changes.set(commandId, `${fact.type} @${position}`)
    if (capsId === null) return
    const before = this.#versions.get(commandId)
    if (before === undefined) this.#tasks++
    else if (before !== capsId) {
      this.#mixed.add(`@${position} ${fact.type}: command ${commandId} used version ${before}, now ${capsId}`)
    }
    this.#versions.set(commandId, capsId)
  }

  results(): { readonly refused: CheckResult; readonly mixed: CheckResult } {
    return {
      refused: this.#refused.result({
        id: 'I2',
        title: 'a refused command changed nothing',
        note: `${this.#refusals} refusals`,
      }),
      mixed: this.#mixed.result({
        id: 'I10',
        title: 'no task saw two capability versions',
        note: `${this.#tasks} tasks`,
      }),
    }
  }
}
