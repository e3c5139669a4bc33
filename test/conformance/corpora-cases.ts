import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as v from 'valibot'

const caseSchema = v.looseObject({ id: v.string(), kind: v.string() })
const listSchema = v.object({
  split: v.optional(v.string(), 'dev'),
  cases: v.array(caseSchema),
})

/** A recorded case: what its kind reads besides id and kind, the kind parses. */
export interface CorpusCase {
  readonly corpus: string
  readonly split: string
  readonly id: string
  readonly kind: string
  readonly stated: Readonly<Record<string, unknown>>
}

/** The corpora, unpacked. */
export interface Corpora extends Disposable {
  readonly directory: string
  readonly cases: readonly CorpusCase[]
  /** A file by the path that a case states, which is relative to the folder of its corpus. */
  readText(of: CorpusCase, path: string): string
  /** The capability document that a case names (`qemuCaps`), whatever split it is in. */
  readCapabilities(name: string): string
}

/**
 * Opens the corpora in a directory or a `.tar.gz`; an archive is unpacked below the temporary directory and removed on disposal. Throws
 * where the path is missing or a list of cases cannot be read.
 */
export function openCorpora(path: string): Corpora {
  if (!existsSync(path)) throw new Error(`Cannot read the corpora: "${path}" does not exist`)
  const isArchive = !statSync(path).isDirectory()
  const directory = isArchive ? mkdtempSync(join(tmpdir(), 'chronovisor-corpora-')) : path
  const dispose = () => {
    if (isArchive) rmSync(directory, { recursive: true, force: true })
  }
  try {
    if (isArchive) execFileSync('tar', ['-xzf', path, '-C', directory], { timeout: 60_000 })
    return {
      directory,
      cases: folders(directory).flatMap((corpus) => casesOf(directory, corpus)),
      readText: (of, file) => readFileSync(join(directory, of.corpus, file), 'utf8'),
      readCapabilities: (name) => readFileSync(capabilitiesPath(directory, name), 'utf8'),
      [Symbol.dispose]: dispose,
    }
  } catch (error) {
    dispose()
    throw error
  }
}

function casesOf(directory: string, corpus: string): readonly CorpusCase[] {
  return folders(join(directory, corpus)).flatMap((split) => {
    const file = join(directory, corpus, split, 'cases.json')
    if (!existsSync(file)) return []
    const list = v.parse(listSchema, JSON.parse(readFileSync(file, 'utf8')))
    return list.cases.map((stated) => ({ corpus, split: list.split, id: stated.id, kind: stated.kind, stated }))
  })
}

function capabilitiesPath(directory: string, name: string): string {
  const caps = join(directory, 'caps')
  const found = folders(caps)
    .map((split) => join(caps, split, 'libvirt-11.3.0', `caps_${name}.xml`))
    .find((path) => existsSync(path))
  if (found === undefined) throw new Error(`Cannot find the capability document "${name}" below "${caps}"`)
  return found
}

function folders(directory: string): readonly string[] {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .toSorted()
}
