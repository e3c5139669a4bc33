import * as v from 'valibot'
import type { OpenedCheckpoint } from '../eventstore/checkpoint.ts'
import { isConsistencyText, verifyConsistency } from '../eventstore/consistency-text.ts'
import { InvalidProofError, verifyEventProof, type VerifiedProof } from '../eventstore/event-proof.ts'
import { InvalidNoteError, type NoteVerifier } from '../eventstore/signed-note.ts'
import { CliError } from './cli-error.ts'
import { exitCode } from './exit-code.ts'
import { localTime, utcTime } from './format-time.ts'
import type { Invocation } from './invocation.ts'
import type { Output } from './output.ts'
import { toned } from './output.ts'
import { keysOption, readTextFile, requireWitnesses } from './trusted-keys.ts'

const optionsSchema = v.object({ key: v.optional(v.string()), witness: v.optional(v.string()) })

/** `chronovisor verify-proof`: checks a proof by nothing but its own text and the key of the log. Ends with 3 where it does not hold. */
export async function verifyProofCommand(invocation: Invocation): Promise<number> {
  const { out, args } = invocation
  const options = v.parse(optionsSchema, invocation.options)
  const keys = keysOption(options.key)
  const witnesses = keysOption(options.witness)
  const text = readTextFile(args[0] ?? '')
  try {
    if (isConsistencyText(text)) showConsistency(out, checkedConsistency(text, { keys, witnesses }))
    else showEvent(out, checkedEvent(text, { keys, witnesses }))
    if (keys.length === 0 && !out.isJson) out.line(toned(out, 'faint', keyHint))
    return exitCode.found
  } catch (error) {
    if (!(error instanceof InvalidProofError || error instanceof InvalidNoteError)) throw error
    if (out.isJson) out.document({ holds: false, why: error.message })
    else out.line(toned(out, 'bad', error.message))
    return exitCode.finding
  }
}

const keyHint =
  'note: the key is the one that the proof itself states; --key compares it with the one that you were given'

interface Keys {
  readonly keys: readonly NoteVerifier[]
  readonly witnesses: readonly NoteVerifier[]
}

function checkedEvent(text: string, { keys, witnesses }: Keys): VerifiedProof {
  const verified = verifyEventProof(text, { keys: keys.length === 0 ? null : keys, witnesses })
  requireWitnesses(verified.checkpoint.signedBy, witnesses)
  return verified
}

function checkedConsistency(
  text: string,
  { keys, witnesses }: Keys,
): { readonly older: OpenedCheckpoint; readonly newer: OpenedCheckpoint } {
  if (keys.length === 0)
    throw new CliError('Give the key of the log by --key: `chronovisor checkpoint --key` prints it')
  const verified = verifyConsistency(text, [...keys, ...witnesses])
  requireWitnesses(verified.newer.signedBy, witnesses)
  return verified
}

function showEvent(out: Output, { proof, checkpoint }: VerifiedProof): void {
  const { event, key } = proof
  const dataSha256 = Buffer.from(event.dataSha256).toString('hex')
  if (out.isJson) {
    const { position, stream, revision, type, schema, eventId, commitNo, epoch, recordedAtUs } = event
    out.document({
      holds: true,
      event: {
        position,
        stream,
        revision,
        type,
        schema,
        eventId,
        commitNo,
        epoch,
        recordedAt: utcTime(recordedAtUs),
        dataSha256,
      },
      data: event.data === null ? null : Buffer.from(event.data).toString(),
      meta: event.meta === null ? null : Buffer.from(event.meta).toString(),
      checkpoint: {
        origin: checkpoint.origin,
        size: checkpoint.size,
        signedBy: checkpoint.signedBy.map((each) => each.key),
      },
      key,
    })
    return
  }
  out.line(toned(out, 'good', `the proof holds: @${event.position} of ${checkpoint.origin}`))
  out.line(`  ${event.type}, revision ${event.revision} of ${event.stream}, recorded ${localTime(event.recordedAtUs)}`)
  out.line(`  data ${event.data === null ? `has the SHA-256 ${dataSha256}` : Buffer.from(event.data).toString()}`)
  if (event.meta !== null) out.line(`  meta ${Buffer.from(event.meta).toString()}`)
  out.line(
    `  one of the first ${checkpoint.size} events, signed by ${checkpoint.signedBy.map((each) => each.key).join(', ')}`,
  )
}

function showConsistency(
  out: Output,
  { older, newer }: { readonly older: OpenedCheckpoint; readonly newer: OpenedCheckpoint },
): void {
  if (out.isJson) out.document({ holds: true, origin: newer.origin, olderSize: older.size, newerSize: newer.size })
  else {
    const text = `the proof holds: the ${newer.size} events of ${newer.origin} begin with the ${older.size} that were signed before`
    out.line(toned(out, 'good', text))
  }
}
