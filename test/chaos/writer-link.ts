import { createConnection, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { type WriterAnswer, type WriterRequest, frame, parseAnswer } from './writer-frames.ts'

/** A client's connection to a writing process. A request whose answer does not come is answered here: its outcome is unknown. */
export class WriterLink {
  readonly #socket: Socket
  readonly #waiting = new Map<number, (answer: WriterAnswer) => void>()
  #nextId = 1
  #broken: string | null = null

  private constructor(socket: Socket) {
    this.#socket = socket
    createInterface({ input: socket })
      .on('line', (line) => this.#take(parseAnswer(line)))
      .on('error', () => undefined)
    socket.on('error', () => undefined).on('close', () => this.#break('the connection broke'))
  }

  static async open(path: string): Promise<WriterLink> {
    const socket = createConnection(path)
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', () => resolve())
      socket.once('error', reject)
    })
    return new WriterLink(socket)
  }

  get isOpen(): boolean {
    return this.#broken === null
  }

  /** Asks and waits so long; afterwards the connection is given up, so that no late answer is taken for that of another try. */
  ask(make: (id: number) => WriterRequest, { limitMs }: { readonly limitMs: number }): Promise<WriterAnswer> {
    const id = this.#nextId++
    if (this.#broken !== null) return Promise.resolve({ kind: 'unknown', id, reason: this.#broken })
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#break(`no answer within ${limitMs} ms`), limitMs)
      this.#waiting.set(id, (answer) => {
        clearTimeout(timer)
        resolve(answer)
      })
      this.#socket.write(frame(make(id)))
    })
  }

  close(): void {
    this.#break('the client closed the connection')
  }

  #take(answer: WriterAnswer): void {
    const settle = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    settle?.(answer)
  }

  #break(reason: string): void {
    this.#broken ??= reason
    this.#socket.destroy()
    for (const [id, settle] of this.#waiting) settle({ kind: 'unknown', id, reason })
    this.#waiting.clear()
  }
}
