import * as v from 'valibot'
import type { DocumentFormat } from '../conf/emulator-document.ts'
import { formatEmulatorDocument } from '../conf/format-emulator-document.ts'
import { deriveDocument } from '../qemu/derive-document.ts'
import { ProbeConversation } from '../qemu/probe-conversation.ts'
import { isFault } from '../util/fault.ts'
import { CliError } from './cli-error.ts'
import { documentFields } from './document-fields.ts'
import { documentFormats } from './document-formats.ts'
import { conversationOf, type EmulatorVersion, findCapabilities } from './find-capabilities.ts'
import { exitCode } from './exit-code.ts'
import { localTime, utcTime } from './format-time.ts'
import { type History, openHistory, positionOption } from './history.ts'
import type { Invocation } from './invocation.ts'
import { toned } from './output.ts'
import { formatFields, formatTable } from './text-table.ts'

const optionsSchema = v.object({ asOf: v.optional(v.string()) })
const showSchema = v.object({
  asOf: v.optional(v.string()),
  format: v.optional(v.picklist([...documentFormats, 'json'])),
})

/** `chronovisor caps list`: every emulator with its capability version and whether that still holds. */
export async function capsListCommand(invocation: Invocation): Promise<number> {
  const { asOf } = v.parse(optionsSchema, invocation.options)
  const { out } = invocation
  await using history = await openHistory(invocation.config)
  const position = await positionOption(history, asOf, { nowUs: invocation.nowUs() })
  const rows = await history.rows<EmulatorVersion>(
    `select * from emulators where from_position <= $1::int8 and (to_position is null or to_position > $1::int8) order by binary_path`,
    [position],
  )
  if (out.isJson) out.document(rows.map(documentOf))
  else if (rows.length > 0) {
    const columns = ['EMULATOR', 'ARCH', 'VERSION', 'STATE', 'CAPABILITIES', 'PROBED', 'BECAUSE'].map((title) => ({
      title,
    }))
    const [titles = '', ...lines] = formatTable(columns, rows.map(cellsOf))
    out.lines([toned(out, 'heading', titles), ...lines])
  }
  return rows.length === 0 ? exitCode.nothing : exitCode.found
}

/** `chronovisor caps show`: everything that is recorded of one capability version, or of the latest one of an emulator; with --format as a document. */
export async function capsShowCommand(invocation: Invocation): Promise<number> {
  const { out } = invocation
  const parsed = v.safeParse(showSchema, invocation.options)
  if (!parsed.success) throw new CliError(`Cannot show it so: --format is one of ${documentFormats.join(', ')}, json`)
  const { asOf, format } = parsed.output
  const [wanted = ''] = invocation.args
  await using history = await openHistory(invocation.config)
  const position = asOf === undefined ? null : await positionOption(history, asOf, { nowUs: invocation.nowUs() })
  const row = await findCapabilities(history, wanted, position)
  if (format !== undefined && format !== 'json') {
    out.line(await layOut(history, row, format))
    return exitCode.found
  }
  const stored: unknown = row.document_sha256 === '' ? null : JSON.parse(await history.text(row.document_sha256))
  if (out.isJson || format === 'json') {
    out.document({ ...documentOf(row), document: stored })
    return exitCode.found
  }
  out.line(toned(out, 'heading', `${row.binary_path} ${versionText(row.emulator_version)}`))
  out.lines(formatFields([...fieldsOf(row), ...(stored === null ? [] : documentFields(stored))]))
  return exitCode.found
}

/** The capability document in a layout, derived from what was answered: flags and order differ from one layout to the next. */
async function layOut(history: History, row: EmulatorVersion, format: DocumentFormat): Promise<string> {
  const microcode = Number(row.microcode ?? 0)
  const conversation = await conversationOf(history, row)
  try {
    const document = deriveDocument(ProbeConversation.parse(conversation), {
      emulator: row.binary_path,
      emulatorChangedS: row.ctime_ns / 1_000_000_000n,
      // Times and versions of another daemon: this one compares neither.
      daemonChangedS: 0n,
      daemonVersion: 0,
      microcodeVersion: Number.isSafeInteger(microcode) ? microcode : 0,
      hasHvf: false,
      format,
    })
    return formatEmulatorDocument(document, format).replace(/\n$/, '')
  } catch (cause) {
    if (!isFault(cause)) throw cause
    throw new CliError(`Cannot lay out "${row.caps_id}": ${cause.message}`, { cause })
  }
}

function fieldsOf(row: EmulatorVersion): readonly (readonly [string, string])[] {
  const error: readonly (readonly [string, string])[] = row.error === null ? [] : [['error', row.error]]
  const invalid: readonly (readonly [string, string])[] =
    row.invalidated_reason === null
      ? []
      : [['invalidated', `${row.invalidated_reason}\nwas ${row.invalidated_was ?? ''}\nis ${row.invalidated_is ?? ''}`]]
  return [
    ['capabilities', row.caps_id],
    ['state', row.state],
    ...invalid,
    ...error,
    ['probed', localTime(row.probed_at_us)],
    ['architecture', row.arch],
    ['package', row.package === '' ? 'not stated' : row.package],
    [
      'file',
      `${row.resolved_path}\ninode ${row.inode}, ${row.size_bytes} bytes, ctime ${row.ctime_ns}\nsha256 ${row.content_sha256}`,
    ],
    ['ran', row.executable_path],
    [
      'modules',
      row.module_directory === null
        ? 'none'
        : `${row.module_directory}, mtime ${row.module_directory_mtime_ns ?? 'unknown'}`,
    ],
    ['kernel', row.kernel],
    ['microcode', row.microcode ?? 'not stated'],
    ['host CPU', row.host_cpu],
    ['KVM', `${row.kvm_usable ? 'usable' : 'not usable'}, nesting ${row.nested_kvm ? 'on' : 'off'}`],
    ['CPUID', row.cpuid ?? 'not known'],
    ['secure guests', row.secure_guest ?? 'not recorded'],
    ['firmware', row.firmware ?? 'not recorded'],
    ['asked by build', row.daemon_build ?? 'not recorded'],
    ['asked as', `uid ${row.uid}, gid ${row.gid}`],
    ['document', row.document_sha256],
    ['conversation', row.conversation_sha256],
  ]
}

function cellsOf(row: EmulatorVersion): readonly string[] {
  return [
    row.binary_path,
    row.arch,
    versionText(row.emulator_version),
    row.state,
    row.caps_id,
    row.probed_at_us === 0n ? 'never' : localTime(row.probed_at_us),
    row.state === 'invalidated'
      ? `${row.invalidated_reason ?? ''}: was ${row.invalidated_was ?? ''}, is ${row.invalidated_is ?? ''}`
      : (row.error ?? ''),
  ]
}

function documentOf(row: EmulatorVersion): object {
  const {
    probed_at_us: probedAtUs,
    from_position: fromPosition,
    valid_from: _from,
    valid_to: _to,
    to_position: _until,
    ...columns
  } = row
  const facts: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(columns)) {
    facts[name.replaceAll(/_(.)/g, (_, letter: string) => letter.toUpperCase())] = value
  }
  return { ...facts, probedAt: probedAtUs === 0n ? null : utcTime(probedAtUs), sincePosition: fromPosition }
}

function versionText(version: number): string {
  if (version === 0) return ''
  return `${Math.floor(version / 1_000_000)}.${Math.floor(version / 1000) % 1000}.${version % 1000}`
}
