import * as v from 'valibot'
import { controlProcedures } from '../protocol/control-procedures.ts'
import { CliError } from './cli-error.ts'
import { ControlClient, DaemonRefusal } from './control-client.ts'
import { exitCode } from './exit-code.ts'
import type { Invocation } from './invocation.ts'
import { toned } from './output.ts'
import { ProgressLine } from './progress-line.ts'

const optionsSchema = v.object({ all: v.optional(v.boolean(), false), reason: v.optional(v.string()) })

interface Probed {
  readonly binary: string
  readonly capsId: string | null
  readonly isNew: boolean
  readonly error: string | null
}

/** `chronovisor caps probe`: asks emulators now: the named one, with --all every one, else those that have no valid version; 2 where one fails. */
export async function capsProbeCommand({ args, options, out, config }: Invocation): Promise<number> {
  const { all, reason } = v.parse(optionsSchema, options)
  const named = args[0] ?? null
  if (named !== null && all) throw new CliError('Cannot probe: name one emulator or give --all, not both')
  using client = await ControlClient.open(config, reason === undefined ? {} : { reason })
  const binaries = named === null ? await wantedOf(client, all) : [named]
  using progress = new ProgressLine()
  const probed: Probed[] = []
  for (const binary of binaries) {
    progress.update(`asking ${binary}`, { done: BigInt(probed.length), total: BigInt(binaries.length) })
    const one = await probe(client, binary)
    probed.push(one)
    if (!out.isJson) out.line(one.error === null ? lineOf(one) : toned(out, 'bad', `${binary}  ${one.error}`))
  }
  if (out.isJson) out.document(probed)
  if (probed.some(({ error }) => error !== null)) return exitCode.error
  return probed.length === 0 ? exitCode.nothing : exitCode.found
}

async function wantedOf(client: ControlClient, all: boolean): Promise<readonly string[]> {
  const { emulators } = await client.call(controlProcedures.capsEmulators, {})
  return emulators.filter(({ state }) => all || state !== 'valid').map(({ binary }) => binary)
}

/** One emulator that does not answer keeps nobody from asking the next. */
async function probe(client: ControlClient, binary: string): Promise<Probed> {
  try {
    return { binary, ...(await client.call(controlProcedures.capsProbe, { binary })), error: null }
  } catch (error) {
    if (!(error instanceof DaemonRefusal)) throw error
    return { binary, capsId: null, isNew: false, error: error.message }
  }
}

function lineOf({ binary, capsId, isNew }: Probed): string {
  return `${binary}  ${isNew ? 'new version' : 'as before, version'} ${capsId ?? ''}`
}
