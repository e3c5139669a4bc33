import { readFileSync } from 'node:fs'
import { InvalidNoteError, type NoteVerifier, parseVerifierKey } from '../eventstore/signed-note.ts'
import { CliError } from './cli-error.ts'

/** Verifier keys as an option gives them, separated by commas; none where it is absent. */
export function keysOption(option: string | undefined): readonly NoteVerifier[] {
  if (option === undefined) return []
  return option.split(',').map((key) => {
    try {
      return parseVerifierKey(key.trim())
    } catch (error) {
      throw error instanceof InvalidNoteError ? new CliError(error.message, { cause: error }) : error
    }
  })
}

/** Refuses what a witness should have signed and has not. */
export function requireWitnesses(signedBy: readonly NoteVerifier[], witnesses: readonly NoteVerifier[]): void {
  const missing = witnesses.find(({ key }) => !signedBy.some((verifier) => verifier.key === key))
  if (missing !== undefined) throw new CliError(`The checkpoint is not signed by the witness "${missing.key}"`)
}

/** The text of a file, exactly as it stands there; `-` is standard input. Throws {@link CliError}. */
export function readTextFile(path: string): string {
  try {
    const bytes = readFileSync(path === '-' ? 0 : path)
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (error) {
    throw new CliError(`Cannot read "${path}": ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
}
