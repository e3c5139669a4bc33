import * as v from 'valibot'
import { checkEverything } from './check-everything.ts'
import type { CheckResult } from './check-result.ts'
import { exitCode } from './exit-code.ts'
import { openHistory } from './history.ts'
import type { Invocation } from './invocation.ts'
import { type Output, toned } from './output.ts'

const optionsSchema = v.object({ all: v.optional(v.boolean(), false) })

/** `chronovisor check`: the invariants that the daemon promises, one line each. */
export async function checkCommand(invocation: Invocation): Promise<number> {
  const { all } = v.parse(optionsSchema, invocation.options)
  const { out, config } = invocation
  await using history = await openHistory(config)
  const results: CheckResult[] = []
  for await (const result of checkEverything(history, { config, wholeLog: all, nowUs: invocation.nowUs() })) {
    results.push(result)
    if (!out.isJson) show(out, result)
  }
  const found = results.some((result) => result.state === 'finding')
  if (out.isJson) out.document({ findings: found, checks: results })
  return found ? exitCode.finding : exitCode.found
}

function show(out: Output, { id, title, state, findings, note }: CheckResult): void {
  const tone = state === 'ok' ? 'good' : state === 'finding' ? 'bad' : 'faint'
  const word = toned(out, tone, state.padEnd(7))
  out.line(`${id.padEnd(10)}  ${word}  ${title}${note === '' ? '' : ` (${note})`}`)
  for (const finding of findings) out.line(`${' '.repeat(21)}${finding}`)
}
