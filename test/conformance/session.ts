import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Captured } from '../support/capture.ts'

/** A virsh that is talked to. */
export interface Session {
  readonly uri: string
  /** Flags in front of the commands, separated by blanks. */
  readonly flags: string
  /** Commands; `idle` waits for `idleSeconds` with the connection open. */
  readonly lines: readonly string[]
  readonly idleSeconds: number
}

/** Runs one interactive virsh from beginning to end. It is killed where it does not end within 30 s after its last command. */
export async function runSession({ uri, flags, lines, idleSeconds }: Session): Promise<Captured> {
  const child = spawn('virsh', [...flags.split(' '), '-c', uri], { env: { ...process.env, LC_ALL: 'C' } })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (piece: string) => (out += piece))
  child.stderr.setEncoding('utf8').on('data', (piece: string) => (err += piece))
  child.stdin.on('error', () => {})
  const ended = new Promise<Captured>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status, signal) => resolve({ status, signal, out, err }))
  })
  ended.catch(() => {})
  for (const line of lines) {
    if (line === 'idle') await sleep(idleSeconds * 1_000)
    else child.stdin.write(`${line}\n`)
  }
  child.stdin.end()
  const limit = setTimeout(() => child.kill('SIGKILL'), 30_000)
  try {
    return await ended
  } finally {
    clearTimeout(limit)
  }
}
