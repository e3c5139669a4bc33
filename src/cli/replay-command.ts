import * as v from 'valibot'
import { CliError } from './cli-error.ts'
import { exitCode } from './exit-code.ts'
import { openHistory } from './history.ts'
import type { Invocation } from './invocation.ts'
import { type Output, toned } from './output.ts'
import { replayLog } from './replay-log.ts'
import type { ShownReplay } from './replay-report.ts'
import { formatTable, shorten } from './text-table.ts'

const optionsSchema = v.object({ check: v.optional(v.boolean(), false) })
const longestRow = 300

/** `chronovisor replay --check`: every read model rebuilt from position 0 and compared with the one that serves, row by row. */
export async function replayCommand(invocation: Invocation): Promise<number> {
  const { check } = v.parse(optionsSchema, invocation.options)
  if (!check) throw new CliError('Cannot replay: say --check, to compare the read models with the log')
  await using history = await openHistory(invocation.config)
  const report = await replayLog(history, invocation.config)
  if (invocation.out.isJson) invocation.out.document(report)
  else show(invocation.out, report)
  return report.identical ? exitCode.found : exitCode.finding
}

function show(out: Output, report: ShownReplay): void {
  const columns = [{ title: 'READ MODEL' }, { title: 'ROWS', align: 'right' }, { title: 'RESULT' }] as const
  const rows = report.tables.map(({ name, versions, differences }) => [
    name,
    String(versions),
    differences === 0n ? 'identical' : `${differences} differences`,
  ])
  const [titles = '', ...lines] = formatTable(columns, rows)
  out.line(toned(out, 'heading', titles))
  lines.forEach((line, at) => out.line(report.tables[at]?.differences === 0n ? line : toned(out, 'bad', line)))
  for (const { table, where, only, row } of report.differences) {
    out.line(`${table}${where === 'memory' ? ' in memory' : ''}, only ${only}: ${shorten(row, longestRow)}`)
  }
  for (const letter of report.deadLetters) out.line(`quarantined on one side only: ${letter}`)
  const extent = `${report.memory ? 'tables and memory' : 'tables'}, position 0 to ${report.position}`
  out.line(report.identical ? toned(out, 'good', `identical (${extent})`) : toned(out, 'bad', `different (${extent})`))
}
