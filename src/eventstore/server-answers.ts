import { connect } from 'node:net'

/** SSLRequest of PostgreSQL's protocol: every server that lives answers it by one byte, whether or not it is ready. */
const sslRequest = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f])

/** Whether a server answers on a UNIX socket within the time; one that was killed a moment ago still has its process and its socket. */
export async function serverAnswers(socketPath: string, timeoutMs: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const socket = connect({ path: socketPath })
  socket.setTimeout(timeoutMs, () => resolve(false))
  socket.once('connect', () => socket.write(sslRequest))
  socket.once('data', () => resolve(true))
  socket.once('error', () => resolve(false))
  socket.once('close', () => resolve(false))
  const answers = await promise
  socket.destroy()
  return answers
}
