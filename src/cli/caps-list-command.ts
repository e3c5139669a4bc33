import * as v from 'valibot'
import type { EmulatorRow } from '../../projections/emulators.ts'
import { documentSchema } from '../commands/caps-document.ts'
import { alternatives } from './closest-names.ts'
import { CliError } from './cli-error.ts'
import { exitCode } from './exit-code.ts'
import { localTime, utcTime } from './format-time.ts'
import { type History, openHistory, positionOption } from './history.ts'
import type { Invocation } from './invocation.ts'
import { toned } from './output.ts'
import { formatFields, formatTable } from './text-table.ts'

const optionsSchema = v.object({ asOf: v.optional(v.string()) })

/** A version of the row of an emulator. */
export type EmulatorVersion = EmulatorRow & {
  readonly from_position: bigint
  readonly to_position: bigint | null
  readonly [column: string]: unknown
}

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

/** `chronovisor caps show`: everything that is recorded of one capability version, or of the latest one of an emulator. */
export async function capsShowCommand(invocation: Invocation): Promise<number> {
  const { out } = invocation
  const [wanted = ''] = invocation.args
  await using history = await openHistory(invocation.config)
  const row = await findVersion(history, wanted)
  const stored: unknown = row.document_sha256 === '' ? null : JSON.parse(await history.text(row.document_sha256))
  if (out.isJson) {
    out.document({ ...documentOf(row), document: stored })
    return exitCode.found
  }
  out.line(toned(out, 'heading', `${row.binary_path} ${versionText(row.emulator_version)}`))
  out.lines(formatFields([...fieldsOf(row), ...(stored === null ? [] : documentFields(stored))]))
  return exitCode.found
}

async function findVersion(history: History, wanted: string): Promise<EmulatorVersion> {
  const [row] = await history.rows<EmulatorVersion>(
    `select * from emulators where caps_id = $1::text or binary_path = $1::text or binary_path like '%/' || $1::text
      order by (to_position is null) desc, from_position desc limit 1`,
    [wanted],
  )
  if (row !== undefined) return row
  const known = await history.rows<{ name: string }>(
    'select distinct binary_path as name from emulators union select caps_id from emulators order by 1 limit 1000',
  )
  const names = known.map(({ name }) => name)
  throw new CliError(
    `Cannot show "${wanted}": it is neither a capability version nor a probed emulator${alternatives(wanted, names)}`,
  )
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
    ['asked as', `uid ${row.uid}, gid ${row.gid}`],
    ['document', row.document_sha256],
    ['conversation', row.conversation_sha256],
  ]
}

function documentFields(stored: unknown): readonly (readonly [string, string])[] {
  const read = v.safeParse(v.omit(documentSchema, ['form']), stored)
  if (!read.success) return [['document', 'in a form that this program does not know']]
  const { virtTypes, machines, cpuModels, flags } = read.output
  const preferred = machines.find((machine) => machine.isDefault)?.name ?? 'none'
  const usable = cpuModels.filter((model) => model.usable).length
  return [
    ['runs', virtTypes.join(', ')],
    ['machines', `${machines.length}, default ${preferred}`],
    ['CPU models', `${cpuModels.length}, ${usable} usable here`],
    ['flags', `${flags.length}`],
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
