import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import * as v from 'valibot'
import { openGivenPostgres } from '../eventstore/given-postgres.ts'
import type { PostgresAddress } from '../eventstore/postgres-address.ts'
import { type RestoreReport, restoreLog } from '../eventstore/restore-log.ts'
import type { NoteVerifier } from '../eventstore/signed-note.ts'
import { CliError } from './cli-error.ts'
import { exitCode } from './exit-code.ts'
import { localTime } from './format-time.ts'
import { Interruption } from './interruption.ts'
import type { Invocation } from './invocation.ts'
import { openLogDatabase } from './log-database.ts'
import { type Output, toned } from './output.ts'
import { ProgressLine } from './progress-line.ts'
import { type DrillOptions, type DrillReport, drill } from './restore-drill.ts'
import { setAnchorAside } from './state-anchor.ts'
import { restoreStateDirectory } from './restore-state-directory.ts'
import { formatFields } from './text-table.ts'
import { keysOption } from './trusted-keys.ts'

const optionsSchema = v.object({
  drill: v.optional(v.boolean(), false),
  offline: v.optional(v.boolean(), false),
  key: v.optional(v.string()),
})

/** `chronovisor restore DIR`: a log out of a backup, into an empty place; with `--drill` on a scratch server, to see that it can be done. */
export async function restoreCommand(invocation: Invocation): Promise<number> {
  const options = v.parse(optionsSchema, invocation.options)
  const dir = resolve(invocation.args[0] ?? '')
  using interruption = new Interruption()
  using progress = new ProgressLine()
  const trusted = keysOption(options.key)
  if (options.offline && !options.drill) throw new CliError('Cannot restore: --offline belongs to --drill')
  const work = { dir, signal: interruption.signal, ...(trusted.length === 0 ? {} : { trusted }) }
  if (options.drill) return await runDrill(invocation, { ...work, progress, offline: options.offline })
  const report = await restore(invocation.config, { ...work, progress })
  progress[Symbol.dispose]()
  showRestored(invocation, report)
  return exitCode.found
}

interface Work {
  readonly dir: string
  readonly trusted?: readonly NoteVerifier[]
  readonly signal: AbortSignal
  readonly progress: ProgressLine
}

async function restore(config: Invocation['config'], { progress, ...work }: Work): Promise<RestoreReport> {
  const onProgress = ({ step, ...at }: { step: string; done: bigint; total: bigint }) => progress.update(step, at)
  if (config.database === null) return await restoreStateDirectory({ ...work, stateDir: config.stateDir, onProgress })
  const { connection } = await openGivenPostgres(config.database)
  return await restoreLog({ ...work, address: connection, onProgress })
}

function showRestored({ out, config }: Invocation, { manifest, checked }: RestoreReport): void {
  const { log, head } = manifest
  const place = config.database === null ? config.stateDir : 'the database of --database'
  const hint =
    config.database === null ? setAnchorAside(config.stateDir, manifest) : hostHint(config.stateDir, log.hostId)
  if (out.isJson) {
    out.document({ place, log, head, checked, hint })
    return
  }
  const signed =
    checked.checkpointSize === null
      ? 'no signed checkpoint in the backup'
      : `signed checkpoint of ${checked.checkpointSize} events`
  out.lines(
    formatFields([
      ['restored', `${checked.events} events in ${checked.commits} commits, into ${place}`],
      ['log', `${log.logId} of host ${log.hostId}`],
      ['up to', `@${head.position} ${localTime(head.recordedAtUs)}, commit ${head.commitNo}`],
      ['checked', `every file, the root of every commit, ${signed}: ${checked.root}`],
      ['next', 'start the daemon: it replays the read models'],
    ]),
  )
  if (hint !== null) out.line(hint)
}

/** With a given database the daemon's own directory is not this command's to change. */
function hostHint(stateDir: string, hostId: string): string | null {
  const file = join(stateDir, 'host-id')
  if (existsSync(file) && readFileSync(file, 'utf8').trim().toLowerCase() === hostId) return null
  return `The daemon opens this log only as its host: put ${hostId} into the file host-id of its state directory before it starts.`
}

async function runDrill(
  { out, config }: Invocation,
  { progress, offline, ...work }: Work & { readonly offline: boolean },
): Promise<number> {
  await using live = await openLive(config, offline)
  const onProgress: DrillOptions['onProgress'] = (step, at) => progress.update(step, at)
  const report = await drill({ ...work, stateDir: config.stateDir, live: live.address, onProgress })
  progress[Symbol.dispose]()
  if (out.isJson) out.document({ ...drillDocument(report), notCompared: live.whyNot })
  else showDrill(out, report, live.whyNot)
  return report.missing.length + report.damages.length === 0 ? exitCode.found : exitCode.finding
}

interface Live extends AsyncDisposable {
  readonly address: PostgresAddress | null
  readonly whyNot: string | null
}

/** The log that the backup may be of; a drill is made without it where it cannot be reached. */
async function openLive(config: Invocation['config'], offline: boolean): Promise<Live> {
  const none = (whyNot: string): Live => ({ address: null, whyNot, async [Symbol.asyncDispose]() {} })
  if (offline) return none('not looked at (--offline)')
  try {
    const { address, [Symbol.asyncDispose]: dispose } = await openLogDatabase(config)
    return { address, whyNot: null, [Symbol.asyncDispose]: dispose }
  } catch (error) {
    return none(`not reached: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function drillDocument(report: DrillReport): object {
  const { manifest, ...rest } = report
  return { log: manifest.log, head: manifest.head, madeAtUs: manifest.madeAtUs, ...rest }
}

function showDrill(
  out: Output,
  { manifest, damages, restored, live, missing }: DrillReport,
  whyNot: string | null,
): void {
  const { head } = manifest
  const signed = restored?.checkpointSize ?? null
  out.lines(
    formatFields([
      ['backup', `up to @${head.position} ${localTime(head.recordedAtUs)}, commit ${head.commitNo}`],
      ['files', damages.length === 0 ? 'every byte as it was written' : `${damages.length} damages`],
      [
        'restored',
        restored === null ? 'no' : `${restored.events} events in ${restored.commits} commits, root ${restored.root}`,
      ],
      ['signed', signed === null ? 'nothing was compared' : `the checkpoint of ${signed} events agrees`],
      [
        'live log',
        live === null
          ? (whyNot ?? '')
          : live.kind === 'same'
            ? `ends at @${live.position}, commit ${live.commitNo}`
            : 'not the same',
      ],
    ]),
  )
  for (const damage of damages) out.line(toned(out, 'bad', `damaged: ${damage}`))
  for (const text of missing) out.line(toned(out, 'bad', `missing: ${text}`))
  if (missing.length + damages.length === 0) out.line(toned(out, 'good', 'nothing is missing'))
}
