import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import type { ProcessTable } from './driver/host-facts.ts'

const lockSchema = v.object({ pid: v.number(), startTicks: v.string(), startedAt: v.string(), host: v.string() })

/** Another daemon uses the state directory; the message names its process and since when. */
export class DaemonRunningError extends Error {}

/** A held lock on a state directory; disposing it lets the next daemon in. A lock whose process is dead holds nothing. */
export interface DaemonLock extends Disposable {
  readonly path: string
}

/** Takes the state directory for this process, before anything in it is touched. Throws {@link DaemonRunningError}. */
export function lockStateDirectory(stateDir: string, processes: ProcessTable, host: string): DaemonLock {
  const path = join(stateDir, 'daemon.lock')
  const self = processes.find(process.pid)
  const text = JSON.stringify({
    pid: process.pid,
    startTicks: String(self?.startTicks ?? 0n),
    startedAt: new Date().toISOString(),
    host,
  })
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      writeFileSync(path, text, { flag: 'wx', mode: 0o644 })
      return { path, [Symbol.dispose]: () => rmSync(path, { force: true }) }
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
      removeStale(path, { processes, stateDir })
    }
  }
  throw new DaemonRunningError(`Cannot start: "${path}" is being taken by another daemon at the same moment`)
}

function removeStale(path: string, where: { readonly processes: ProcessTable; readonly stateDir: string }): void {
  const held = v.safeParse(lockSchema, readJson(path))
  if (held.success) {
    const { pid, startTicks, startedAt, host } = held.output
    if (String(where.processes.find(pid)?.startTicks ?? '') === startTicks) {
      throw new DaemonRunningError(
        `Cannot start: process ${pid} on ${host} has used "${where.stateDir}" since ${startedAt}; stop it, or choose another --state-dir`,
      )
    }
  }
  rmSync(path, { force: true })
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return null
  }
}
