import * as v from 'valibot'
import { type HostPartName, hostParts } from '../host/host-parts.ts'
import { CliError } from './cli-error.ts'
import { exitCode } from './exit-code.ts'
import type { Invocation } from './invocation.ts'
import { toJson, toned } from './output.ts'
import { formatFields } from './text-table.ts'

const optionsSchema = v.object({ part: v.optional(v.string()) })

/** `chronovisor caps host`: facts of this machine by independent parts; only the parts that are asked for are read. Needs no daemon. */
export async function capsHostCommand({ options, out }: Invocation): Promise<number> {
  const { part } = v.parse(optionsSchema, options)
  const parts = hostParts()
  const partNames = Object.keys(parts)
  const isPart = (name: string): name is HostPartName => Object.hasOwn(parts, name)
  const wanted = part === undefined ? partNames : part.split(',')
  const unknown = wanted.filter((name) => !isPart(name))
  if (unknown.length > 0)
    throw new CliError(`Cannot read part "${unknown.join(',')}" of the host: known are ${partNames.join(', ')}`)
  const found = wanted.filter(isPart).map((name) => [name, parts[name]()] as const)
  if (out.isJson) out.document(Object.fromEntries(found))
  else
    for (const [name, facts] of found) {
      out.line(toned(out, 'heading', name))
      out.lines(formatFields(Object.entries(facts).map(([key, value]: [string, unknown]) => [`  ${key}`, told(value)])))
    }
  return exitCode.found
}

function told(value: unknown): string {
  if (value === null || (Array.isArray(value) && value.length === 0)) return 'none'
  const items: readonly unknown[] = Array.isArray(value) ? value : [value]
  const words = items.map((item) => (typeof item === 'string' ? item : toJson(item, { compact: true })))
  return words.join(items.every((item) => typeof item === 'string') ? ' ' : '\n')
}
