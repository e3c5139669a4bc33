import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { newSignerKey, type NoteSigner, parseSignerKey } from './signed-note.ts'

/**
 * Reads the key that signs the checkpoints of a log, or makes it: a file that only its owner can read. `origin` is the log's; the key of
 * another log is refused, since whoever trusts it would trust this log for the other.
 */
export function openSigningKey(path: string, origin: string): NoteSigner {
  if (!existsSync(path)) writeFileSync(path, `${newSignerKey(origin)}\n`, { mode: 0o600, flag: 'wx', flush: true })
  const signer = parseSignerKey(readFileSync(path, 'utf8').trim())
  if (signer.verifier.name === origin) return signer
  throw new Error(
    `Cannot use the signing key "${path}": it is that of the log "${signer.verifier.name}", this log is "${origin}"; move it away, and a new one will be made`,
  )
}
