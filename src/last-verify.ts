import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import type { LastVerify } from './metrics/metrics-source.ts'

const decimal = v.pipe(
  v.string(),
  v.regex(/^\d{1,19}$/),
  v.transform((text) => BigInt(text)),
)
const schema = v.object({ atUs: decimal, seconds: v.number(), events: decimal, findings: v.number() })

function pathIn(stateDir: string): string {
  return join(stateDir, 'last-verify.json')
}

/**
 * Leaves word of how a verification of the log ended, for `status` and the metrics. It stands beside the log and not in it, since whoever
 * verifies only reads; who may not write there leaves none. Returns whether it was written.
 */
export function writeLastVerify(stateDir: string, { atUs, seconds, events, findings }: LastVerify): boolean {
  const path = pathIn(stateDir)
  const unfinished = `${path}.new-${process.pid}`
  try {
    const text = JSON.stringify({ atUs: String(atUs), seconds, events: String(events), findings })
    writeFileSync(unfinished, `${text}\n`, { mode: 0o644 })
    renameSync(unfinished, path)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error) return false
    throw error
  }
}

/** How the last verification of the log ended; null where none has, or nobody left word of it that can be read. */
export function readLastVerify(stateDir: string): LastVerify | null {
  const text = readText(pathIn(stateDir))
  if (text === null) return null
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), schema), text)
  return parsed.success ? parsed.output : null
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error) return null
    throw error
  }
}
