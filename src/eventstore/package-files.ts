import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** A SQL file of the package. */
export interface SqlFile {
  readonly name: string
  readonly text: string
}

/** Reads the `.sql` files of a top-level folder of this package, by name; the same from `src` and from `dist/src`. */
export async function readSqlFiles(folder: 'migrations' | 'projections'): Promise<readonly SqlFile[]> {
  const directory = new URL(`${folder}/`, packageRoot())
  const names = readdirSync(directory).filter((name) => name.endsWith('.sql'))
  // A dozen small files, read at once: by promises they would take ten times as long, and a start waits for them.
  return names.sort().map((name) => ({ name, text: readFileSync(new URL(name, directory), 'utf8') }))
}

/** The directory of this package as a URL that ends in a slash, wherever in it this code runs from. */
export function packageRoot(): URL {
  let directory = new URL('.', import.meta.url)
  while (!existsSync(new URL('package.json', directory))) {
    const parent = new URL('..', directory)
    if (parent.href === directory.href) throw new Error(`Cannot find package.json above "${import.meta.url}"`)
    directory = parent
  }
  return directory
}
