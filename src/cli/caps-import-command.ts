import { readFileSync, statSync } from 'node:fs'
import * as v from 'valibot'
import { formatEmulatorDocument } from '../conf/format-emulator-document.ts'
import { deriveDocument } from '../qemu/derive-document.ts'
import { ProbeConversation } from '../qemu/probe-conversation.ts'
import { CliError } from './cli-error.ts'
import { deriveAgain } from './derive-again.ts'
import { documentFields } from './document-fields.ts'
import { documentFormats } from './document-formats.ts'
import { exitCode } from './exit-code.ts'
import type { Invocation } from './invocation.ts'
import { formatFields } from './text-table.ts'

const optionsSchema = v.object({ format: v.optional(v.picklist([...documentFormats, 'json'])) })
/** The largest conversations known have a megabyte. */
const maxBytes = 64 * 1024 * 1024

/** `chronovisor caps import`: what this program would make of a recorded conversation; records nothing and needs no daemon. */
export async function capsImportCommand({ args, options, out }: Invocation): Promise<number> {
  const path = args[0] ?? ''
  const parsed = v.safeParse(optionsSchema, options)
  if (!parsed.success) throw new CliError(`Cannot print it so: --format is one of ${documentFormats.join(', ')}, json`)
  const { format } = parsed.output
  const text = readConversation(path)
  const { document } = deriveAgain(text, { binary: path, source: `"${path}"` })
  if (out.isJson || format === 'json') out.document(document)
  else if (format === undefined) out.lines(formatFields([['arch', document.arch], ...documentFields(document)]))
  else {
    const around = { emulator: path, emulatorChangedS: 0n, daemonChangedS: 0n, daemonVersion: 0, microcodeVersion: 0 }
    const derived = deriveDocument(ProbeConversation.parse(text), { ...around, hasHvf: false, format })
    out.line(formatEmulatorDocument(derived, format).replace(/\n$/, ''))
  }
  return exitCode.found
}

function readConversation(path: string): string {
  try {
    const stats = statSync(path)
    if (!stats.isFile()) throw new Error('it is no regular file')
    if (stats.size > maxBytes) throw new Error(`it has ${stats.size} bytes, at most ${maxBytes} are read`)
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new CliError(`Cannot read "${path}": ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}
