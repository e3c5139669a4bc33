import { mkdirSync } from 'node:fs'
import { LogCorruptError } from '../eventstore/append-errors.ts'
import type { BackupManifest } from '../eventstore/backup-manifest.ts'
import { describeDamage } from '../eventstore/backup-reader.ts'
import { lostRanges, type LostRange, surveyBackup } from '../eventstore/backup-survey.ts'
import { type BackupComparison, compareBackup } from '../eventstore/compare-backup.ts'
import { openEmbeddedPostgres } from '../eventstore/embedded-postgres.ts'
import type { PostgresAddress } from '../eventstore/postgres-address.ts'
import type { RestoreCheck } from '../eventstore/restore-checker.ts'
import { restoreLog } from '../eventstore/restore-log.ts'
import type { NoteVerifier } from '../eventstore/signed-note.ts'
import { DrillPlace } from './drill-place.ts'
import { quietLog } from './log-database.ts'
import { missingOfAnchor, readStateAnchor } from './state-anchor.ts'

/** What a drill found. `missing` says it in sentences; none: a restore gives everything back. */
export interface DrillReport {
  readonly manifest: BackupManifest
  readonly damages: readonly string[]
  /** What the backup cannot give although it should, by its manifest. */
  readonly lost: readonly LostRange[]
  /** What the scratch restore checked; null where the backup is damaged. */
  readonly restored: RestoreCheck | null
  /** Null where no live log was looked at. */
  readonly live: BackupComparison | null
  readonly missing: readonly string[]
}

/** How to make a drill. */
export interface DrillOptions {
  readonly dir: string
  /** The log that the backup is of, where it can be reached. */
  readonly live: PostgresAddress | null
  /** Its state directory, where the newest signed checkpoint is kept beside the database. */
  readonly stateDir: string
  /** Only these keys may have signed the checkpoints; not given: those that the log itself names. */
  readonly trusted?: readonly NoteVerifier[]
  readonly onProgress?: (step: string, progress: { readonly done: bigint; readonly total: bigint }) => void
  readonly signal?: AbortSignal
}

/** Restores a backup on a scratch server that is gone afterwards, and says what a real restore would lack. */
export async function drill(options: DrillOptions): Promise<DrillReport> {
  const { dir, live, onProgress, signal } = options
  const bounds = signal === undefined ? {} : { signal }
  const { manifest, damages } = await surveyBackup(dir, { ...bounds, onProgress: (at) => onProgress?.('files', at) })
  const contradictions: string[] = []
  let restored: RestoreCheck | null = null
  if (damages.length === 0) {
    try {
      restored = await scratchRestore(options)
    } catch (error) {
      if (!(error instanceof LogCorruptError)) throw error
      contradictions.push(error.message)
    }
  }
  const comparison = live === null ? null : await compareBackup(dir, { manifest, address: live })
  const lost = lostRanges(damages)
  const signed = missingOfAnchor(readStateAnchor(options.stateDir, manifest), manifest)
  return {
    manifest,
    damages: damages.map(describeDamage),
    lost,
    restored,
    live: comparison,
    missing: [
      ...lost.map(lostText),
      ...contradictions,
      ...(comparison === null ? [] : comparisonTexts(comparison, manifest)),
      ...(signed === null ? [] : [signed]),
    ],
  }
}

async function scratchRestore({ dir, trusted, onProgress, signal }: DrillOptions): Promise<RestoreCheck> {
  await using place = new DrillPlace()
  mkdirSync(place.stateDir, { mode: 0o755 })
  const bounds = signal === undefined ? {} : { signal }
  await using server = await openEmbeddedPostgres({
    stateDir: place.stateDir,
    socketDir: place.socketDir,
    log: quietLog,
    ...bounds,
  })
  const report = await restoreLog({
    address: server.connection,
    dir,
    ...(trusted === undefined ? {} : { trusted }),
    ...bounds,
    onProgress: ({ step, ...progress }) => onProgress?.(step, progress),
  })
  return report.checked
}

function lostText({ kind, first, last }: LostRange): string {
  switch (kind) {
    case 'events':
      return `positions ${first} to ${last}: the backup is damaged`
    case 'commits':
      return `commits ${first} to ${last}: the backup is damaged`
    case 'blobs':
      return `${last - first + 1n} big texts: the backup is damaged`
    case 'categories':
    case 'types':
    case 'streams':
    case 'requests':
    case 'checkpoints':
    case 'keys':
      return `${kind} ${first} to ${last}: the backup is damaged`
  }
}

function comparisonTexts(comparison: BackupComparison, { head, log }: BackupManifest): readonly string[] {
  switch (comparison.kind) {
    case 'other-log':
      return [`the live log is another one: ${comparison.logId}, the backup is of ${log.logId}`]
    case 'diverged': {
      const { liveRoot, position } = comparison
      if (liveRoot === null) return [`the live log ends at position ${position}, before the backup (${head.position})`]
      return [`commit ${head.commitNo} has the root ${liveRoot} in the live log, ${head.root} in the backup`]
    }
    case 'same': {
      const { positions, commits, blobs } = comparison.missing
      return [
        ...(positions === null ? [] : [`positions ${positions.first} to ${positions.last}: recorded after the backup`]),
        ...(commits === null ? [] : [`commits ${commits.first} to ${commits.last}: recorded after the backup`]),
        ...(blobs === 0n ? [] : [`${blobs} big texts: recorded after the backup`]),
      ]
    }
  }
}
