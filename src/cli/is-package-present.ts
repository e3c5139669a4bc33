import { spawnSync } from 'node:child_process'
import { accessSync, constants, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Presence } from './setup-packages.ts'

const CHECK_TIMEOUT_MS = 10_000

/** Where daemons live; an unprivileged user's PATH on Debian lacks them. */
const ALWAYS_SEARCHED = ['/usr/sbin', '/sbin', '/usr/local/sbin']

/** Looks for a command in `path` (a PATH value) and the system's own directories; its full name, or null. */
export function findCommand(name: string, path: string): string | null {
  const directories = [...path.split(':').filter((directory) => directory !== ''), ...ALWAYS_SEARCHED]
  for (const directory of directories) {
    const file = join(directory, name)
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {
      // not here: the next directory
    }
  }
  return null
}

/** The newest PostgreSQL server installed by the distribution, as its directory of programs, or null. */
export function findPostgresql(oldestMajor: number, root = '/usr/lib/postgresql'): string | null {
  const majors = listDirectory(root)
    .map(Number)
    .filter((major) => major >= oldestMajor)
    .toSorted((a, b) => b - a)
  for (const major of majors) {
    const directory = join(root, String(major), 'bin')
    if (listDirectory(directory).includes('postgres')) return directory
  }
  return null
}

/** Whether what a row of the table of packages brings is on this machine. */
export function isPackagePresent(presence: Presence, path: string = process.env['PATH'] ?? ''): boolean {
  switch (presence.kind) {
    case 'command':
      return findCommand(presence.name, path) !== null
    case 'postgresql':
      return findPostgresql(presence.oldestMajor) !== null
    case 'imports': {
      const [command, ...args] = presence.command
      return spawnSync(command, args, { stdio: 'ignore', timeout: CHECK_TIMEOUT_MS }).status === 0
    }
  }
}

function listDirectory(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}
