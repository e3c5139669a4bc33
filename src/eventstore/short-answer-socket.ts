import { Socket } from 'node:net'

const bufferBytes = 16 << 10

/**
 * A socket for many short answers: it reads into one buffer and emits copies as `data`. Node otherwise allocates 64 KiB for each answer,
 * however short, which makes it collect garbage all the time.
 */
export function shortAnswerSocket(): Socket {
  const socket: Socket = new Socket({
    onread: {
      buffer: Buffer.allocUnsafeSlow(bufferBytes),
      callback: (length, buffer) => socket.emit('data', Buffer.from(buffer.subarray(0, length))),
    },
  })
  return socket
}
