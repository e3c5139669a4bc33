import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A place for a file that another program writes; gone on disposal. */
export async function temporaryFile(): Promise<AsyncDisposable & { readonly path: string; read(): Promise<string> }> {
  const directory = await mkdtemp(join(tmpdir(), 'bench-'))
  const path = join(directory, 'file')
  return {
    path,
    read: () => readFile(path, 'utf8'),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  }
}
