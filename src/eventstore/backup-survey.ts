import { requireManifest } from './backup-directory.ts'
import { type BackupKind, backupKinds } from './backup-kinds.ts'
import { type BackupManifest, manifestFaults, manifestName } from './backup-manifest.ts'
import { type BackupDamage, readBackupFile } from './backup-reader.ts'

/** Everything that is wrong with a backup, every byte of it read. */
export interface BackupSurvey {
  readonly manifest: BackupManifest
  readonly damages: readonly BackupDamage[]
}

/** Keys of one kind that a backup should have and has not, from the first to the last of a range. */
export interface LostRange {
  readonly kind: BackupKind['name']
  readonly first: bigint
  readonly last: bigint
}

/** Reads a whole backup and lists what is damaged, instead of stopping at the first. Throws ManifestError where it has no manifest to go by. */
export async function surveyBackup(
  dir: string,
  options: {
    readonly onProgress?: (progress: { readonly done: bigint; readonly total: bigint }) => void
    readonly signal?: AbortSignal
  } = {},
): Promise<BackupSurvey> {
  const manifest = await requireManifest(dir)
  const damages: BackupDamage[] = manifestFaults(manifest).map((what) => ({
    file: manifestName,
    kind: null,
    what,
    lost: null,
  }))
  const total = BigInt(manifest.files.length)
  for (const [index, file] of manifest.files.entries()) {
    const reading = { logId: manifest.log.logId, onDamage: (damage: BackupDamage) => damages.push(damage) }
    for await (const _page of readBackupFile(dir, file, reading)) options.signal?.throwIfAborted()
    options.onProgress?.({ done: BigInt(index + 1), total })
  }
  return { manifest, damages }
}

/** What cannot be had from a damaged backup, kind by kind, ranges that touch put together. */
export function lostRanges(damages: readonly BackupDamage[]): readonly LostRange[] {
  return backupKinds.flatMap(({ name }) => {
    const ranges: LostRange[] = []
    const lost = damages.flatMap((damage) => (damage.kind === name && damage.lost !== null ? [damage.lost] : []))
    for (const { first, last } of lost.toSorted((a, b) => (a.first < b.first ? -1 : 1))) {
      const before = ranges.at(-1)
      if (before === undefined || first > before.last + 1n) ranges.push({ kind: name, first, last })
      else if (last > before.last) ranges[ranges.length - 1] = { ...before, last }
    }
    return ranges
  })
}
