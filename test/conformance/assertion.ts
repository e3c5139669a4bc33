import type { Corpora, CorpusCase } from './corpora-cases.ts'

/** What one assertion of a case came to; `detail` says in one line what is wrong. */
export interface Assertion {
  /** Named where a kind asserts more than one thing. */
  readonly assert?: string
  readonly pass: boolean
  readonly detail: string
}

/** How the cases of a kind are carried out, through the product's own code. */
export type Kind = (of: CorpusCase, corpora: Corpora) => readonly Assertion[]

/** Compares two texts byte for byte; where they differ, `detail` shows the first line that does. */
export function sameText(ours: string, expected: string): Assertion {
  if (ours === expected) return { pass: true, detail: '' }
  const [our, their] = [ours.split('\n'), expected.split('\n')]
  const at = their.findIndex((line, index) => line !== our[index])
  const line = at === -1 ? their.length : at
  const shown = (text: string | undefined) => (text === undefined ? '(end)' : JSON.stringify(text.trim().slice(0, 100)))
  return { pass: false, detail: `line ${line + 1}: ${shown(our[line])} instead of ${shown(their[line])}` }
}
