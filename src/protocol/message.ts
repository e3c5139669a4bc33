import type { Codec } from '../xdr/xdr-codec.ts'
import { XdrWriter } from '../xdr/xdr-writer.ts'
import { limits } from './limits.ts'
import { messageStatus, messageType, programs } from './programs.ts'

/** The six words after the frame's length. A reply repeats program, version, procedure and serial of its call. */
export interface MessageHeader {
  readonly program: number
  readonly version: number
  readonly procedure: number
  readonly type: number
  /** Counts up from 0 per connection; 0 for events and keepalive. */
  readonly serial: number
  readonly status: number
}

/** One whole message: its header, and its frame, whose payload begins at `payloadOffset`. */
export interface Message {
  readonly header: MessageHeader
  /** The frame without its length word. */
  readonly frame: Buffer
}

/** Where the payload begins in a frame without its length word. */
export const payloadOffset = 24

/** Reads the header of a frame without its length word; such a frame has at least 24 bytes. */
export function readMessage(frame: Buffer): Message {
  return {
    header: {
      program: frame.readUInt32BE(0),
      version: frame.readUInt32BE(4),
      procedure: frame.readInt32BE(8),
      type: frame.readUInt32BE(12),
      serial: frame.readUInt32BE(16),
      status: frame.readUInt32BE(20),
    },
    frame,
  }
}

/** A whole frame: length, header, payload. Throws XdrError when the payload is over a limit of its codec. */
export function encodeMessage<T>(header: MessageHeader, codec: Codec<T>, value: T): Buffer {
  const writer = new XdrWriter()
  writer.u32(0)
  writer.u32(header.program)
  writer.u32(header.version)
  writer.i32(header.procedure)
  writer.u32(header.type)
  writer.u32(header.serial)
  writer.u32(header.status)
  codec.write(writer, value)
  if (writer.length > limits.frameBytes) {
    throw new FrameError(`Cannot send a message of ${writer.length} bytes: the limit is ${limits.frameBytes}`)
  }
  writer.patchU32(0, writer.length)
  return writer.take()
}

/** The 28 bytes of a ping or a pong. */
export function encodeKeepalive(procedure: number): Buffer {
  const { number, version } = programs.keepalive
  const words = [28, number, version, procedure, messageType.message, 0, messageStatus.ok]
  const frame = Buffer.alloc(28)
  words.forEach((word, index) => frame.writeUInt32BE(word, index * 4))
  return frame
}

/** A frame whose length cannot be right: the stream of bytes is lost and the connection must be closed. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
}
