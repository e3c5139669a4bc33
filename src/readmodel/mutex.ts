/** Lets actions run one after the other. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs an action when all before it have ended, however they did. */
  async run<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(action, action)
    this.#last = turn.catch(() => undefined)
    return await turn
  }
}
