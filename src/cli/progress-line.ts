const terminalEveryMs = 200
const fileEveryMs = 10_000

/** How far long work is, on standard error: one line that changes on a terminal, now and then a line elsewhere. */
export class ProgressLine implements Disposable {
  readonly #isTerminal = process.stderr.isTTY
  #shownAtMs = performance.now()
  #shown = ''

  /** Takes the state of the work; shows it where it is time to. */
  update(step: string, { done, total }: { readonly done: bigint; readonly total: bigint | null }): void {
    const nowMs = performance.now()
    if (nowMs - this.#shownAtMs < (this.#isTerminal ? terminalEveryMs : fileEveryMs)) return
    this.#shownAtMs = nowMs
    const share = total === null || total === 0n ? '' : ` (${(done * 100n) / total} %)`
    const text = `${step}: ${done}${total === null ? '' : ` of ${total}`}${share}`
    if (this.#isTerminal) process.stderr.write(`\r${text.padEnd(this.#shown.length)}`)
    else process.stderr.write(`${text}\n`)
    this.#shown = text
  }

  /** Takes the line from the terminal. */
  [Symbol.dispose](): void {
    if (this.#isTerminal && this.#shown !== '') process.stderr.write(`\r${' '.repeat(this.#shown.length)}\r`)
  }
}
