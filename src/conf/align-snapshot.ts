import { DefinitionError } from '../xml/definition-error.ts'
import type { DiskDef } from './disk-def.ts'
import type { DomainDef } from './domain-def.ts'
import type { SnapshotDef, SnapshotDiskDef } from './snapshot-def.ts'
import { sourcePath } from './storage-source.ts'

/** A snapshot in which every disk of the domain has its line, in the domain's order. */
export interface AlignedSnapshot extends SnapshotDef {
  readonly name: string
  readonly disks: readonly AlignedDisk[]
}

/** A disk of an aligned snapshot: named by target, with its decision made. */
export interface AlignedDisk extends SnapshotDiskDef {
  readonly snapshot: 'no' | 'internal' | 'external' | 'manual'
}

/** Name of a snapshot that was given none: the second it was asked for. */
export function defaultSnapshotName(creationTimeS: bigint): string {
  return String(creationTimeS)
}

/** Default file of an overlay: the part of the file's name after its last dot replaced by the snapshot's name, or the name appended. */
export function defaultOverlayPath(path: string, snapshotName: string): string {
  const nameAt = path.lastIndexOf('/') + 1
  const dot = path.lastIndexOf('.')
  return `${dot > nameAt ? path.slice(0, dot) : path}.${snapshotName}`
}

function refuse(rule: string, what: string): never {
  const element = 'domainsnapshot/disks/disk'
  throw new DefinitionError({ element, rule, message: `Cannot use this snapshot: ${what}`, kind: 'config_unsupported' })
}

/**
 * Gives a snapshot its name and each disk of the domain a decision: as asked for, else external, else `no` for empty and
 * read-only drives. Throws DefinitionError for a disk the domain does not have, or that is named twice.
 */
export function alignSnapshot(asked: SnapshotDef, definition: DomainDef, creationTimeS: bigint): AlignedSnapshot {
  const name = asked.name ?? defaultSnapshotName(creationTimeS)
  const byTarget = new Map<string, SnapshotDiskDef>()
  for (const line of asked.disks) {
    const disk = definition.devices.disks.find(
      ({ target, source }) => target.dev === line.name || sourcePath(source) === line.name,
    )
    if (disk === undefined) refuse('snapshot-disk-known', `domain "${definition.name}" has no disk "${line.name}"`)
    if (byTarget.has(disk.target.dev)) refuse('snapshot-disk-once', `disk "${disk.target.dev}" is named twice`)
    byTarget.set(disk.target.dev, line)
  }
  const disks = definition.devices.disks.map((disk) => alignDisk(disk, byTarget.get(disk.target.dev), name))
  refuseSharedFile(disks)
  return { ...asked, name, creationTime: creationTimeS, disks }
}

function alignDisk(disk: DiskDef, line: SnapshotDiskDef | undefined, name: string): AlignedDisk {
  const { dev } = disk.target
  const path = sourcePath(disk.source)
  const usual = path === undefined || disk.readonly === true ? 'no' : 'external'
  const decision = line?.snapshot ?? (line?.source === undefined ? (disk.snapshot ?? usual) : 'external')
  if (decision !== 'external') {
    if (line?.source !== undefined)
      refuse('snapshot-disk-source', `disk "${dev}" has a source but snapshot="${decision}"`)
    return { ...line, name: dev, snapshot: decision }
  }
  if (path === undefined) refuse('snapshot-disk-empty', `disk "${dev}" has no image to put an overlay on`)
  const file = line?.source?.file ?? defaultOverlayPath(path, name)
  if (!file.startsWith('/'))
    refuse('snapshot-disk-absolute', `the overlay "${file}" of disk "${dev}" is no absolute path`)
  if (file === path)
    refuse('snapshot-disk-itself', `the overlay of disk "${dev}" would be its own backing file "${file}"`)
  return {
    ...line,
    name: dev,
    snapshot: 'external',
    type: line?.type ?? 'file',
    driver: { ...line?.driver, type: line?.driver?.type ?? 'qcow2' },
    source: { ...line?.source, file },
  }
}

function refuseSharedFile(disks: readonly AlignedDisk[]): void {
  const files = new Map<string, string>()
  for (const { name, source } of disks) {
    if (source?.file === undefined) continue
    const other = files.get(source.file)
    if (other !== undefined)
      refuse('snapshot-file-once', `disks "${other}" and "${name}" would share the overlay "${source.file}"`)
    files.set(source.file, name)
  }
}
