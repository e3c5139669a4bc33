import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** Waits until a UNIX socket accepts connections. Throws after `limitMs`, or when `signal` is aborted. */
export async function waitForSocket(path: string, limitMs: number, signal?: AbortSignal): Promise<void> {
  const deadline = performance.now() + limitMs
  while (!(await accepts(path))) {
    signal?.throwIfAborted()
    if (performance.now() > deadline)
      throw new Error(`Cannot connect to "${path}": nothing listens after ${limitMs} ms`)
    await sleep(5)
  }
}

function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
