import { parseArgs } from 'node:util'
import { fillLog, seededRandom, TamperedLog } from '../support/tampered-log.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

/**
 * Flips single bits in every column of a log and has it verified each time: `node test/bench/mutations.ts --count 10000 --seed 1`. Prints
 * how many were found and located, by column; ends with 1 where one was not.
 */
const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    events: { type: 'string', default: '2000' },
  },
})
const count = Number(values.count)
const random = seededRandom(Number(values.seed))
await using server = await ScratchPostgres.start()
const address = await server.createDatabase()
await fillLog(address, { events: Number(values.events) })
await using log = await TamperedLog.open(address)
const clean = await log.verify()
if (clean.count > 0) throw new Error(`The log is not clean to begin with: ${clean.findings[0]?.text ?? ''}`)
process.stdout.write(
  `${clean.events} events, ${clean.commits} commits, ${clean.checkpoints} checkpoints, seed ${values.seed}\n`,
)

interface Tally {
  tried: number
  found: number
  located: number
  exact: number
}
const tallies = new Map<string, Tally>()
let done = 0
const started = performance.now()
for (let at = 0; done < count; at += 1) {
  const column = log.columns[at % log.columns.length]
  if (column === undefined) break
  const verdict = await log.mutate(column, random)
  if (verdict === null) continue
  done += 1
  const name = `${column.table}.${column.column}`
  const tally = tallies.get(name) ?? { tried: 0, found: 0, located: 0, exact: 0 }
  tally.tried += 1
  tally.found += verdict.found ? 1 : 0
  tally.located += verdict.located ? 1 : 0
  tally.exact += verdict.located && verdict.columns === 1 ? 1 : 0
  tallies.set(name, tally)
  if (!verdict.found || !verdict.located) {
    const said = verdict.report.findings.map(
      (finding) => `${finding.table} ${finding.key} (${finding.columns.join(', ')}): ${finding.text}`,
    )
    process.stdout.write(`${JSON.stringify(verdict.mutation)}\n  ${said.slice(0, 3).join('\n  ')}\n`)
  }
  if (done % 500 === 0) {
    const seconds = ((performance.now() - started) / 1000).toFixed(0)
    process.stderr.write(`${done} of ${count} after ${seconds} s\n`)
    await log.vacuum()
  }
}
const total = { tried: 0, found: 0, located: 0, exact: 0 }
process.stdout.write(
  `${'column'.padEnd(32)}${'bits'.padStart(7)}${'found'.padStart(8)}${'located'.padStart(9)}${'exactly'.padStart(9)}\n`,
)
for (const [name, { tried, found, located, exact }] of [...tallies, ['all', total] as const]) {
  if (name !== 'all') {
    total.tried += tried
    total.found += found
    total.located += located
    total.exact += exact
  }
  const row = name === 'all' ? total : { tried, found, located, exact }
  process.stdout.write(
    `${name.padEnd(32)}${String(row.tried).padStart(7)}${String(row.found).padStart(8)}${String(row.located).padStart(9)}${String(row.exact).padStart(9)}\n`,
  )
}
process.exitCode = total.found === total.tried && total.located === total.tried ? 0 : 1
