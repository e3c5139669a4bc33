import * as v from 'valibot'
import { type Checkpoint, parseCheckpoint } from '../eventstore/checkpoint.ts'
import { readCheckpoint } from '../eventstore/prove-event.ts'
import { parseNote } from '../eventstore/signed-note.ts'
import { controlProcedures } from '../protocol/control-procedures.ts'
import { CliError } from './cli-error.ts'
import { ControlClient } from './control-client.ts'
import { isRunning, readDaemonFile } from './daemon-file.ts'
import { exitCode } from './exit-code.ts'
import { openHistory } from './history.ts'
import type { Invocation } from './invocation.ts'

const optionsSchema = v.object({ key: v.optional(v.boolean(), false), latest: v.optional(v.boolean(), false) })

/** A signed note of the log, with the key that verifies it. */
export interface SignedLog {
  readonly note: string
  readonly key: string
  readonly checkpoint: Checkpoint
}

/** `chronovisor checkpoint`: what the log is now, signed; to be kept where nobody can change it who can change the log. */
export async function checkpointCommand(invocation: Invocation): Promise<number> {
  const { out, config } = invocation
  const options = v.parse(optionsSchema, invocation.options)
  const { note, key, checkpoint } = options.latest ? await newestCheckpoint(config) : await signedNow(config)
  if (out.isJson) {
    const { origin, size, root } = checkpoint
    out.document({ origin, size, root: Buffer.from(root).toString('base64'), key, note })
  } else {
    out.line(options.key ? key : note.trimEnd())
  }
  return exitCode.found
}

/** A checkpoint over everything that is in the log now, by the daemon; without one the newest that it has signed. */
export async function signedNow(config: Invocation['config']): Promise<SignedLog> {
  const daemon = config.database === null ? readDaemonFile(config.socketDir) : null
  if (daemon === null || !isRunning(daemon)) return await newestCheckpoint(config)
  using client = await ControlClient.open(config)
  const { note, key } = await client.call(controlProcedures.checkpointSign, {}, { quick: true })
  return { note, key, checkpoint: parseCheckpoint(parseNote(note).text) }
}

async function newestCheckpoint(config: Invocation['config']): Promise<SignedLog> {
  await using history = await openHistory(config)
  const stored = await readCheckpoint(history.pool, { overAtLeast: 0n })
  if (stored === null) throw new CliError('The log has no signed checkpoint yet: the daemon signs one when it starts')
  return { note: stored.note, key: stored.key.key, checkpoint: stored.checkpoint }
}
