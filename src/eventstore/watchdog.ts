/**
 * Acts when something that was begun does not end in time; begun and ended often, it keeps one timer, which never keeps the process alive.
 */
export class Watchdog {
  readonly #onLate: () => void
  #timer: NodeJS.Timeout | null = null
  #limitMs = 0
  #isWaiting = false

  constructor(onLate: () => void) {
    this.#onLate = onLate
  }

  begin(limitMs: number): void {
    this.#isWaiting = true
    if (this.#timer !== null && limitMs === this.#limitMs) {
      this.#timer.refresh()
      return
    }
    this.stop()
    this.#limitMs = limitMs
    this.#timer = setTimeout(() => this.#expire(), limitMs).unref()
    this.#isWaiting = true
  }

  end(): void {
    this.#isWaiting = false
  }

  /** Gives the timer back. */
  stop(): void {
    this.#isWaiting = false
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  #expire(): void {
    if (this.#isWaiting) this.#onLate()
  }
}
