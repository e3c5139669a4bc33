import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { LastCheckpoint } from './metrics/metrics-source.ts'

/** The file with the newest signed checkpoint of the log, kept beside the database. */
export function checkpointPath(stateDir: string): string {
  return join(stateDir, 'log-checkpoint')
}

/** Size and time of the newest signed checkpoint; null where there is none, or it cannot be read. Its signature is not looked at. */
export function readLastCheckpoint(stateDir: string): LastCheckpoint | null {
  try {
    const path = checkpointPath(stateDir)
    const [, size = ''] = readFileSync(path, 'utf8').split('\n')
    return /^\d{1,19}$/.test(size)
      ? { size: BigInt(size), atUs: statSync(path, { bigint: true }).mtimeNs / 1000n }
      : null
  } catch (error) {
    if (error instanceof Error && 'code' in error) return null
    throw error
  }
}
