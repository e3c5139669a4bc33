import { FrameError } from './message.ts'
import { limits } from './limits.ts'

const empty = Buffer.alloc(0)

/** Bounds of one assembler; the defaults are the protocol's. */
export interface FrameAssemblerOptions {
  /** Longest frame accepted, including its length word. */
  readonly maxFrameBytes?: number
}

/**
 * Cuts a socket's chunks into frames. A frame that arrives in one chunk is a view of it; only one that spans chunks is
 * copied. Memory held is at most twice what was received, never what a length word promises, however small the chunks are.
 */
export class FrameAssembler {
  readonly #maxFrameBytes: number
  #storage: Buffer = empty
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
    let rest = chunk
    if (this.#held > 0) {
      rest = this.#hold(rest, 4)
      if (this.#held < 4) return
      const length = this.#frameLength(this.#storage)
      rest = this.#hold(rest, length)
      if (this.#held < length) return
      const frame = this.#storage.subarray(4, length)
      this.#storage = empty
      this.#held = 0
      yield frame
    }
    while (rest.length >= 4) {
      const length = this.#frameLength(rest)
      if (rest.length < length) break
      const frame = rest.subarray(4, length)
      rest = rest.subarray(length)
      yield frame
    }
    this.#hold(rest, rest.length)
  }

  #frameLength(bytes: Buffer): number {
    const length = bytes.readUInt32BE(0)
    if (length < limits.frameMinBytes || length > this.#maxFrameBytes) {
      throw new FrameError(
        `Cannot accept a frame of ${length} bytes: it must have ${limits.frameMinBytes} to ${this.#maxFrameBytes}`,
      )
    }
    return length
  }

  /** Copies from a chunk until `wanted` bytes are held; gives what is left of the chunk. */
  #hold(chunk: Buffer, wanted: number): Buffer {
    const taken = Math.max(0, Math.min(chunk.length, wanted - this.#held))
    const needed = this.#held + taken
    if (needed > this.#storage.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#storage.length * 2))
      this.#storage.copy(grown, 0, 0, this.#held)
      this.#storage = grown
    }
    chunk.copy(this.#storage, this.#held, 0, taken)
    this.#held = needed
    return chunk.subarray(taken)
  }
}
