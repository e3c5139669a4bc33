import { resolve } from 'node:path'
import { daemonVersion } from '../daemon-file.ts'
import { type BackupReport, backupLog } from '../eventstore/backup-log.ts'
import { parseCheckpoint } from '../eventstore/checkpoint.ts'
import { parseNote } from '../eventstore/signed-note.ts'
import { signedNow } from './checkpoint-command.ts'
import { isRunning, readDaemonFile } from './daemon-file.ts'
import { byteSize, localTime } from './format-time.ts'
import { exitCode } from './exit-code.ts'
import { Interruption } from './interruption.ts'
import type { Invocation } from './invocation.ts'
import { openLogDatabase } from './log-database.ts'
import { ProgressLine } from './progress-line.ts'
import { formatFields } from './text-table.ts'

/** `chronovisor backup DIR`: the log as files that `restore` makes a log of, brought up to date where DIR has an earlier backup. */
export async function backupCommand(invocation: Invocation): Promise<number> {
  const { out, config, args } = invocation
  const dir = resolve(args[0] ?? '')
  using interruption = new Interruption()
  using progress = new ProgressLine()
  await using database = await openLogDatabase(config)
  if (config.database === null) await signFirst(config)
  const report = await backupLog({
    address: database.address,
    dir,
    program: `chronovisor ${daemonVersion()}`,
    signal: interruption.signal,
    nowUs: () => invocation.nowUs(),
    onProgress: ({ kind, done, total }) => progress.update(kind, { done, total }),
  })
  progress[Symbol.dispose]()
  if (out.isJson) out.document(documentOf(dir, report))
  else out.lines(formatFields(fieldsOf(dir, report)))
  return exitCode.found
}

/** So that the backup ends with what is signed; without a daemon it has the newest checkpoint that was. */
async function signFirst(config: Invocation['config']): Promise<void> {
  const daemon = readDaemonFile(config.socketDir)
  if (daemon === null || !isRunning(daemon)) return
  try {
    await signedNow(config)
  } catch (error) {
    process.stderr.write(`Not signed before the backup: ${error instanceof Error ? error.message : String(error)}\n`)
  }
}

function fieldsOf(dir: string, report: BackupReport): readonly (readonly [string, string])[] {
  const { manifest, written, kept, repaired, removed, before } = report
  const { log, head } = manifest
  const added = before === null ? head.position + 1n : head.position - before.position
  const since = before === null ? '' : `, ${added} more than before`
  return [
    ['backup', dir],
    ['log', `${log.logId} of host ${log.hostId}`],
    ['up to', `@${head.position} ${localTime(head.recordedAtUs)}, commit ${head.commitNo}${since}`],
    ['root', head.root],
    ['signed', signedText(manifest.checkpoint)],
    ['written', sizesOf(written)],
    ['kept', sizesOf(kept)],
    ...(repaired.length === 0 ? [] : [['repaired', repaired.join(', ')] as const]),
    ...(removed.length === 0 ? [] : [['removed', `${removed.length} files whose place others took`] as const]),
    ['not in it', manifest.notHere.join('; ')],
  ]
}

function signedText(checkpoint: string | null): string {
  if (checkpoint === null) return 'nothing: the log has no signed checkpoint'
  const { size } = parseCheckpoint(parseNote(checkpoint).text)
  return `the first ${size} events`
}

function sizesOf(files: BackupReport['written']): string {
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  return `${files.length} files, ${byteSize(BigInt(bytes))}`
}

function documentOf(dir: string, { manifest, written, kept, repaired, removed, before }: BackupReport): object {
  const { log, head, checkpoint, files, notHere, madeAtUs } = manifest
  const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0)
  const names = (of: BackupReport['written']): readonly string[] => of.map(({ name }) => name)
  return {
    dir,
    log,
    head,
    before,
    madeAtUs,
    sizeBytes,
    checkpoint,
    written: names(written),
    kept: names(kept),
    repaired,
    removed,
    notHere,
  }
}
