import { existsSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { formatTable } from '../../src/cli/text-table.ts'
import { corporaPath } from '../support/require-tool.ts'
import { type Corpora, type CorpusCase, openCorpora } from './corpora-cases.ts'
import type { Assertion } from './assertion.ts'
import { assertionsOf } from './run-case.ts'

const usage = `npm run conformance -- [--corpora DIR_OR_TAR] [--only CORPUS] [--report FILE]
npm run conformance -- story [--help]

Runs every recorded case through the product's own code: once per case and assertion.
  --corpora PATH  directory or .tar.gz; CHRONOVISOR_CORPORA or the one beside the checkout, if not given
  --only CORPUS   one corpus, as caps
  --report FILE   write {"results":[{"id","corpus","kind","split","pass","detail"}]}`

interface Result extends Assertion {
  readonly id: string
  readonly corpus: string
  readonly kind: string
  readonly split: string
}

/** Runs `npm run conformance`; gives the exit code: 0 where every case passed, 1 where one failed, 2 where there is none. */
export function corporaMain(args: readonly string[]): number {
  const { values } = parseArgs({
    args: [...args],
    options: {
      corpora: { type: 'string' },
      only: { type: 'string' },
      report: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    return 0
  }
  if (values.corpora === undefined && !existsSync(corporaPath())) {
    console.log(`The corpora are skipped: ${corporaPath()} does not exist`)
    return 0
  }
  using corpora = openCorpora(values.corpora ?? corporaPath())
  const wanted = corpora.cases.filter(({ corpus }) => values.only === undefined || corpus === values.only)
  if (wanted.length === 0) {
    const names = [...new Set(corpora.cases.map(({ corpus }) => corpus))].join(', ')
    console.error(`No case: the corpora are ${names === '' ? 'empty' : names}`)
    return 2
  }
  const results = wanted.flatMap((each) => resultsOf(each, corpora))
  print(results)
  if (values.report !== undefined) writeFileSync(values.report, `${JSON.stringify({ results }, null, 1)}\n`)
  return results.every(({ pass }) => pass) ? 0 : 1
}

function resultsOf(of: CorpusCase, corpora: Corpora): readonly Result[] {
  const { id, corpus, kind, split } = of
  return assertionsOf(of, corpora).map((assertion) => ({ id, corpus, kind, split, ...assertion }))
}

function print(results: readonly Result[]): void {
  const groups = Map.groupBy(results, ({ corpus, kind, split, assert }) =>
    [corpus, kind, split, assert ?? ''].join('\t'),
  )
  const rows = [...groups].map(([group, members]) => {
    const passed = members.filter(({ pass }) => pass).length
    return [...group.split('\t'), String(members.length), String(passed)]
  })
  const columns = [
    ...['CORPUS', 'KIND', 'SPLIT', 'ASSERTION'].map((title) => ({ title })),
    ...['TOTAL', 'PASSED'].map((title) => ({ title, align: 'right' as const })),
  ]
  console.log(formatTable(columns, rows).join('\n'))
  for (const { id, assert, detail } of results.filter(({ pass }) => !pass)) {
    console.log(`failed: ${id}${assert === undefined ? '' : ` (${assert})`}: ${detail}`)
  }
  const passed = results.filter(({ pass }) => pass).length
  console.log(`${passed} passed, ${results.length - passed} failed`)
}
