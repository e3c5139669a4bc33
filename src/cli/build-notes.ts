import type { BuildProgress } from '../readmodel/projection-build.ts'
import { ProgressLine } from './progress-line.ts'

/** Says on standard error how far a build is, and how long it may take yet. */
export class BuildNotes implements Disposable {
  readonly #line = new ProgressLine()
  readonly #startedMs = performance.now()

  /** Takes a step in; shows it where it is time to. */
  tell({ projection, phase, position, target }: BuildProgress): void {
    const perSecond = Number(position + 1n) / ((performance.now() - this.#startedMs) / 1_000)
    const secondsLeft = Math.ceil(Number(target - position) / perSecond)
    const rest = phase === 'indexing' ? 'keys and indexes' : `${Math.round(perSecond)} events/s, ${secondsLeft} s left`
    this.#line.update(`${projection} ${phase}, ${rest}`, { done: position + 1n, total: target + 1n })
  }

  [Symbol.dispose](): void {
    this.#line[Symbol.dispose]()
  }
}
