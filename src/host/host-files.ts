import { readdirSync } from 'node:fs'
import { type ReadHostText, readHostText } from './read-host-text.ts'

/** Files of this machine, or of a recorded one. */
export interface HostFiles {
  readonly read: ReadHostText
  /** Names in a directory; none where it does not exist. */
  list(directory: string): readonly string[]
}

/** This machine's own. */
export const localHostFiles: HostFiles = {
  read: readHostText,
  list(directory) {
    try {
      return readdirSync(directory)
    } catch {
      return []
    }
  },
}

/** The whole number in a file, 0 or more; null where there is none. */
export function readNumber(files: HostFiles, path: string): number | null {
  const text = files.read(path)?.trim() ?? ''
  return /^\d+$/.test(text) ? Number(text) : null
}

/** Names such as `index3` as their numbers, ascending. */
export function numberedEntries(
  files: HostFiles,
  { directory, prefix }: { readonly directory: string; readonly prefix: string },
): readonly number[] {
  return files
    .list(directory)
    .flatMap((name) =>
      name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)) ? [Number(name.slice(prefix.length))] : [],
    )
    .toSorted((a, b) => a - b)
}
