import { CliError } from './cli-error.ts'

/** Ctrl-C and SIGTERM as a signal for work that must clean up; the second one ends the process as ever. */
export class Interruption implements Disposable {
  readonly #controller = new AbortController()
  readonly #listener = (name: NodeJS.Signals): void => {
    this[Symbol.dispose]()
    this.#controller.abort(new CliError(`Interrupted by ${name}: nothing was left behind`))
  }

  constructor() {
    for (const name of names) process.on(name, this.#listener)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  [Symbol.dispose](): void {
    for (const name of names) process.off(name, this.#listener)
  }
}

const names = ['SIGINT', 'SIGTERM'] as const
