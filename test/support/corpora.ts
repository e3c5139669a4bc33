import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { corporaPath, requireTool } from './require-tool.ts'

/** A case of the corpus of domain definitions, as `domain-xml/dev/cases.json` states it. */
export interface DomainXmlCase {
  readonly id: string
  readonly kind: string
  readonly input: string
  readonly expected?: string
  readonly tier?: string
  /** Parsed and printed as the definition of a running domain. */
  readonly live?: boolean
  readonly qemuCaps?: string
}

/** Files of one corpus, read by the paths that its cases state. */
export interface Corpus<Case> {
  readonly cases: readonly Case[]
  readText(path: string): string
}

let unpacked: string | undefined

function unpack(): string {
  const path = corporaPath()
  if (statSync(path).isDirectory()) return path
  const directory = mkdtempSync(join(tmpdir(), 'chronovisor-corpora-'))
  // A worker of the test runner is killed in the end: only a hook is sure to run.
  afterAll(() => rmSync(directory, { recursive: true, force: true }))
  execFileSync('tar', ['-xzf', path, '-C', directory], { timeout: 60_000 })
  return directory
}

/** Opens the corpus of domain definitions; null when the corpora are absent, which is reported as a skip, or a failure where they are required. */
export function openDomainXmlCorpus(): Corpus<DomainXmlCase> | null {
  if (!requireTool('corpora')) return null
  unpacked ??= unpack()
  const directory = join(unpacked, 'domain-xml')
  const parsed: unknown = JSON.parse(readFileSync(join(directory, 'dev/cases.json'), 'utf8'))
  return { cases: casesOf(parsed), readText: (path) => readFileSync(join(directory, path), 'utf8') }
}

function casesOf(document: unknown): DomainXmlCase[] {
  if (typeof document !== 'object' || document === null || !('cases' in document) || !Array.isArray(document.cases)) {
    throw new Error('Cannot read cases.json: it has no list of cases')
  }
  return document.cases.filter(isCase)
}

function isCase(value: unknown): value is DomainXmlCase {
  return typeof value === 'object' && value !== null && 'id' in value && 'kind' in value && 'input' in value
}
