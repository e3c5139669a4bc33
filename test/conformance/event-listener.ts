import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { endProcess } from '../support/end-processes.ts'

/** `virsh event --all --loop` beside the story. */
export interface EventListener extends AsyncDisposable {
  /** Lines about one kind of event so far, oldest first; waits until nothing new comes in. */
  heard(event: string): Promise<string>
}

const quietMs = 300
const mostLines = 10_000

/** Starts the listener and waits until it is registered. */
export async function startEventListener(uri: string): Promise<EventListener> {
  const child = spawn('virsh', ['-c', uri, 'event', '--all', '--loop'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, LC_ALL: 'C' },
  })
  let text = ''
  const add = (piece: string): void => {
    if (text.length < mostLines * 100) text += piece
  }
  child.stdout.setEncoding('utf8').on('data', add)
  child.stderr.setEncoding('utf8').on('data', add)
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  // It says nothing when it is ready: 27 registrations take far less than this.
  await sleep(1_000)
  if (child.exitCode !== null) throw new Error(`Cannot listen for events: virsh ended with ${child.exitCode}: ${text}`)
  return {
    async heard(event) {
      for (let length = -1; length !== text.length; ) {
        length = text.length
        await sleep(quietMs)
      }
      return text
        .split('\n')
        .filter((line) => line.startsWith(`event '${event}' `))
        .join('\n')
    },
    async [Symbol.asyncDispose]() {
      await endProcess(child.pid ?? 0, 2_000)
      await ended
    },
  }
}
