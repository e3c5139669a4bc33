import type { Assertion } from './assertion.ts'
import type { Corpora, CorpusCase } from './corpora-cases.ts'
import { kinds } from './corpora-kinds.ts'

/** Carries out a case; one of an unknown kind, and one that throws, has failed. */
export function assertionsOf(of: CorpusCase, corpora: Corpora): readonly Assertion[] {
  const run = kinds[`${of.corpus}/${of.kind}`]
  if (run === undefined) return [{ pass: false, detail: `the kind "${of.kind}" is not known` }]
  try {
    return run(of, corpora)
  } catch (error) {
    const [line = ''] = (error instanceof Error ? error.message : String(error)).split('\n')
    return [{ pass: false, detail: `threw: ${line}` }]
  }
}
