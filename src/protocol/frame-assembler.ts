import { FrameError } from './message.ts'
import { limits } from './limits.ts'

/** Bounds of one assembler; the defaults are the protocol's. */
export interface FrameAssemblerOptions {
  /** Longest frame accepted, including its length word. */
  readonly maxFrameBytes?: number
}

/**
 * Cuts a socket's chunks into frames. A frame that arrives in one chunk is a view of it; only one that spans chunks is
 * copied, once, when its last byte is there. Memory held is what was received, never what a length word promises.
 */
export class FrameAssembler {
  readonly #maxFrameBytes: number
  #chunks: Buffer[] = []
  #held = 0

  constructor(options: FrameAssemblerOptions = {}) {
    this.#maxFrameBytes = options.maxFrameBytes ?? limits.frameBytes
  }

  /** Bytes of an unfinished frame. */
  get heldBytes(): number {
    return this.#held
  }

  /**
   * Takes a chunk and gives the frames it completes, each without its length word, in order. Throws FrameError at the
   * first impossible length, also when its frame has just begun; frames before it were already given.
   */
  *push(chunk: Buffer): Generator<Buffer, void, undefined> {
    let rest = this.#held === 0 ? chunk : this.#join(chunk)
    while (rest.length >= 4) {
      const length = rest.readUInt32BE(0)
      this.#check(length)
      if (rest.length < length) break
      // The assembler must be consistent before the frame is handed out: its reader may throw.
      const frame = rest.subarray(4, length)
      rest = rest.subarray(length)
      yield frame
    }
    if (rest.length > 0) this.#hold(rest)
  }

  #check(length: number): void {
    if (length < limits.frameMinBytes || length > this.#maxFrameBytes) {
      throw new FrameError(
        `Cannot accept a frame of ${length} bytes: it must have ${limits.frameMinBytes} to ${this.#maxFrameBytes}`,
      )
    }
  }

  /** Held bytes and the new chunk in one buffer if that completes a frame, else an empty one after holding the chunk. */
  #join(chunk: Buffer): Buffer {
    const total = this.#held + chunk.length
    const first = this.#chunks[0]
    if (first !== undefined && first.length >= 4 && total < first.readUInt32BE(0)) {
      this.#hold(chunk)
      return Buffer.alloc(0)
    }
    const joined = Buffer.concat([...this.#chunks, chunk], total)
    this.#chunks = []
    this.#held = 0
    return joined
  }

  #hold(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#held += chunk.length
  }
}
