import { existsSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import type { BackupManifest } from '../eventstore/backup-manifest.ts'
import { type Checkpoint, parseCheckpoint } from '../eventstore/checkpoint.ts'
import { logOrigin } from '../eventstore/log-origin.ts'
import { parseNote } from '../eventstore/signed-note.ts'

/** What the daemon last signed of the log of a backup, as its state directory keeps it beside the database. */
export interface StateAnchor {
  readonly path: string
  readonly checkpoint: Checkpoint
}

/** Reads it; null where there is none of this log. */
export function readStateAnchor(stateDir: string, { log }: Pick<BackupManifest, 'log'>): StateAnchor | null {
  const path = join(stateDir, 'log-checkpoint')
  if (!existsSync(path)) return null
  try {
    const checkpoint = parseCheckpoint(parseNote(readFileSync(path, 'utf8')).text)
    return checkpoint.origin === logOrigin(log) ? { path, checkpoint } : null
  } catch {
    return null
  }
}

/** Says what was signed and is not in a backup; null where nothing is. */
export function missingOfAnchor(anchor: StateAnchor | null, { head }: Pick<BackupManifest, 'head'>): string | null {
  if (anchor === null) return null
  const { size, root } = anchor.checkpoint
  if (size > head.position + 1n)
    return `positions ${head.position + 1n} to ${size - 1n}: signed by the checkpoint in "${anchor.path}"`
  if (size < head.position + 1n || Buffer.from(root).toString('hex') === head.root) return null
  return `the checkpoint in "${anchor.path}" was signed over another log of ${size} events`
}

/**
 * A daemon signs no log that lacks what was signed before. After a restore that is meant to be so: the checkpoint that says otherwise is
 * kept under another name. Returns what is lost and where that is written, null where nothing is.
 */
export function setAnchorAside(stateDir: string, manifest: BackupManifest): string | null {
  const anchor = readStateAnchor(stateDir, manifest)
  const missing = missingOfAnchor(anchor, manifest)
  if (anchor === null || missing === null) return null
  const aside = `${anchor.path}.before-restore-${manifest.madeAtUs}`
  renameSync(anchor.path, aside)
  return `Lost: ${missing}, now kept as "${aside}".`
}
