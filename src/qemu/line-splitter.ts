const smallestBufferBytes = 4096

/** Cuts a byte stream into lines, holding at most one unfinished line of a bounded length. */
export class LineSplitter {
  readonly #maxLineBytes: number
  // One growing buffer instead of a list of chunks: a sender of single bytes must not cost an object for each.
  #held = Buffer.alloc(0)
  #heldBytes = 0

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes
  }

  /** Number of bytes of the line that has not ended yet. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /**
   * The lines that end in this chunk, without their line ends; blank lines are left out. Null when a line is longer than
   * allowed: the stream is then useless, because the place of the next message is unknown.
   */
  push(chunk: Buffer): readonly string[] | null {
    const lines: string[] = []
    let start = 0
    for (;;) {
      const end = chunk.indexOf(0x0a, start)
      const part = chunk.subarray(start, end === -1 ? chunk.length : end)
      if (this.#heldBytes + part.length > this.#maxLineBytes) return null
      if (end === -1) {
        this.#hold(part)
        return lines
      }
      const line = this.#finish(part).trim()
      if (line !== '') lines.push(line)
      start = end + 1
    }
  }

  #hold(part: Buffer): void {
    const wanted = this.#heldBytes + part.length
    if (wanted > this.#held.length) {
      const grown = Buffer.alloc(Math.max(smallestBufferBytes, wanted, 2 * this.#held.length))
      this.#held.copy(grown, 0, 0, this.#heldBytes)
      this.#held = grown
    }
    part.copy(this.#held, this.#heldBytes)
    this.#heldBytes = wanted
  }

  #finish(last: Buffer): string {
    if (this.#heldBytes === 0) return last.toString('utf8')
    this.#hold(last)
    const line = this.#held.toString('utf8', 0, this.#heldBytes)
    this.#held = Buffer.alloc(0)
    this.#heldBytes = 0
    return line
  }
}
