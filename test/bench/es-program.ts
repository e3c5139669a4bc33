import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** Runs a measuring program of this folder and gives what it printed. Throws what it complained of. */
export async function runProgram(name: string, args: readonly string[]): Promise<string> {
  const path = fileURLToPath(new URL(name, import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [path, ...args], { maxBuffer: 16 * 1024 * 1024 })
  return stdout
}
