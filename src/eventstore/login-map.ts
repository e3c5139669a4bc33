import { chownSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loginMapFile } from './embedded-settings.ts'

/** Which user of the machine comes in by which login. */
export interface LoginMapping {
  readonly name: string
  readonly osUser: string
}

/** Whether a user of the machine may be named so in the map: nothing that its quoting or its regular expressions would take for more. */
export function isOsUserName(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_.@-]{0,127}\$?$/.test(name)
}

/** The map of the embedded server whose files are in `dataDir`. */
export function readLoginMap(dataDir: string): readonly LoginMapping[] {
  const path = join(dataDir, loginMapFile)
  if (!existsSync(path)) return []
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, osUser, name] = /^chronovisor "([^"]+)" "([^"]+)"$/.exec(line) ?? []
      return osUser === undefined || name === undefined ? [] : [{ name, osUser }]
    })
}

/** Writes the map, as a file of the server's own user; the server reads it when it is told to. */
export function writeLoginMap(dataDir: string, map: readonly LoginMapping[]): void {
  const path = join(dataDir, loginMapFile)
  const { uid, gid } = statSync(dataDir)
  const lines = map.map(({ name, osUser }) => `chronovisor "${osUser}" "${name}"\n`)
  writeFileSync(`${path}.new`, `# Written by chronovisor db-user.\n${lines.join('')}`, { mode: 0o600 })
  chownSync(`${path}.new`, uid, gid)
  renameSync(`${path}.new`, path)
}
