import * as v from 'valibot'
import { namedTexts } from '../events/named-texts.ts'
import { openCheckpoint } from '../eventstore/checkpoint.ts'
import { DatabaseSource } from '../eventstore/database-source.ts'
import { readKeys } from '../eventstore/prove-event.ts'
import { InvalidNoteError, type NoteVerifier } from '../eventstore/signed-note.ts'
import { type TrustedStart, trustedStart } from '../eventstore/trusted-start.ts'
import { verifyLog, type VerifyReport } from '../eventstore/verify-log.ts'
import { writeLastVerify } from '../last-verify.ts'
import { CliError } from './cli-error.ts'
import { readDaemonFile } from './daemon-file.ts'
import { exitCode } from './exit-code.ts'
import { duration } from './format-time.ts'
import { Interruption } from './interruption.ts'
import type { Invocation } from './invocation.ts'
import { openLogDatabase } from './log-database.ts'
import { type Output, toned } from './output.ts'
import { ProgressLine } from './progress-line.ts'
import { keysOption, readTextFile, requireWitnesses } from './trusted-keys.ts'

const optionsSchema = v.object({
  fromCheckpoint: v.optional(v.string()),
  key: v.optional(v.string()),
  witness: v.optional(v.string()),
})

/** `chronovisor verify`: recomputes the log from its rows and says what is not as it was recorded. Ends with 3 on a finding. */
export async function verifyCommand(invocation: Invocation): Promise<number> {
  const { out, config } = invocation
  const options = v.parse(optionsSchema, invocation.options)
  const trusted = keysOption(options.key)
  using interruption = new Interruption()
  using progress = new ProgressLine()
  await using database = await openLogDatabase(config)
  await using source = await DatabaseSource.open(database.address)
  const start = await startOf(source, { file: options.fromCheckpoint, trusted, witnesses: keysOption(options.witness) })
  const startedMs = performance.now()
  const report = await verifyLog(source, {
    trusted: trusted.length === 0 ? null : trusted,
    start,
    blobNames: namedTexts,
    signal: interruption.signal,
    onProgress: progressOf(progress, { total: await source.eventCount(), from: start?.position ?? 0n }),
  })
  progress[Symbol.dispose]()
  const elapsedUs = BigInt(Math.round((performance.now() - startedMs) * 1000))
  leaveWord(invocation, { report, elapsedUs })
  const notes = [...report.notes, ...keyNotes(report, trusted)]
  if (out.isJson) {
    const { root, ...rest } = report
    out.document({ ...rest, notes, root: Buffer.from(root).toString('hex'), elapsedUs })
  } else {
    show(out, { report: { ...report, notes }, elapsedUs })
  }
  return report.count === 0 ? exitCode.found : exitCode.finding
}

/** Tells `status` and the metrics of the daemon whose log it was. */
function leaveWord(
  { config, nowUs }: Pick<Invocation, 'config' | 'nowUs'>,
  { report, elapsedUs }: { readonly report: VerifyReport; readonly elapsedUs: bigint },
): void {
  const daemon = readDaemonFile(config.socketDir)
  if (daemon === null || (config.database !== null && config.database !== daemon.database.connectionString)) return
  const { events, count } = report
  writeLastVerify(daemon.stateDir, { atUs: nowUs(), seconds: Number(elapsedUs) / 1e6, events, findings: count })
}

function keyNotes({ checkpoints }: VerifyReport, trusted: readonly NoteVerifier[]): readonly string[] {
  if (checkpoints === 0 || trusted.length > 0) return []
  return [
    'the checkpoints were verified by the key that the database itself names; --key compares them with the one that you were given',
  ]
}

async function startOf(
  source: DatabaseSource,
  {
    file,
    trusted,
    witnesses,
  }: {
    readonly file: string | undefined
    readonly trusted: readonly NoteVerifier[]
    readonly witnesses: readonly NoteVerifier[]
  },
): Promise<TrustedStart | null> {
  if (file === undefined) return null
  try {
    const keys = trusted.length > 0 ? trusted : await readKeys(source.client)
    const checkpoint = openCheckpoint(readTextFile(file), [...keys, ...witnesses])
    requireWitnesses(checkpoint.signedBy, witnesses)
    return await trustedStart(source.client, checkpoint)
  } catch (error) {
    if (!(error instanceof InvalidNoteError)) throw error
    throw new CliError(`Cannot start from "${file}": ${error.message}`, { cause: error })
  }
}

/** Shows events done, how many a second, and how long the rest will take. */
function progressOf(
  line: ProgressLine,
  { total, from }: { readonly total: bigint; readonly from: bigint },
): (done: bigint) => void {
  const startedMs = performance.now()
  return (done) => {
    const perMs = Number(done - from) / (performance.now() - startedMs)
    const left = perMs > 0 ? BigInt(Math.round((Number(total - done) / perMs) * 1000)) : 0n
    line.update(`verified, ${Math.round(perMs * 1000)} events/s, ${duration(left)} left`, { done, total })
  }
}

function show(out: Output, { report, elapsedUs }: { readonly report: VerifyReport; readonly elapsedUs: bigint }): void {
  const { events, commits, streams, checkpoints, from, size, blobs, erased, unnamedBlobs } = report
  const extent = from === 0n ? `all ${events} events` : `${events} events from @${from} on`
  out.line(`${extent} in ${commits} commits and ${streams} streams recomputed in ${duration(elapsedUs)}`)
  out.line(`${checkpoints} signed checkpoints compared, ${blobs} big texts read, ${erased} erased events accounted for`)
  if (unnamedBlobs !== null && unnamedBlobs > 0) out.line(`${unnamedBlobs} big texts are named by no event`)
  for (const note of report.notes) out.line(toned(out, 'faint', `note: ${note}`))
  if (report.count === 0) {
    out.line(
      toned(
        out,
        'good',
        `the log is what was recorded: ${size} events, root ${Buffer.from(report.root).toString('base64')}`,
      ),
    )
    return
  }
  const where = report.firstBadPosition === null ? '' : `, the first at @${report.firstBadPosition}`
  out.line(toned(out, 'bad', `${report.count} ${report.count === 1 ? 'finding' : 'findings'}${where}:`))
  for (const { table, key, columns, text } of report.findings)
    out.line(`  ${table} ${key} (${columns.join(', ')}): ${text}`)
  if (report.count > report.findings.length) out.line(`  and ${report.count - report.findings.length} more`)
}
