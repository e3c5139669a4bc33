import type { SnapshotRow } from '../../projections/snapshots.ts'

/** Direct children of a snapshot, in the order of the rows. */
export function childrenOf(rows: readonly SnapshotRow[], name: string): readonly SnapshotRow[] {
  return rows.filter((row) => row.parent === name)
}

/** All snapshots below one, parents before children. A cycle, which no log has, would end the walk. */
export function descendantsOf(rows: readonly SnapshotRow[], name: string): readonly SnapshotRow[] {
  const found: SnapshotRow[] = []
  const seen = new Set([name])
  const open = [name]
  for (let next = open.shift(); next !== undefined; next = open.shift()) {
    for (const child of childrenOf(rows, next)) {
      if (seen.has(child.name)) continue
      seen.add(child.name)
      found.push(child)
      open.push(child.name)
    }
  }
  return found
}

/** Rows with parents before children, otherwise in their order. */
export function topological(rows: readonly SnapshotRow[]): readonly SnapshotRow[] {
  const names = new Set(rows.map((row) => row.name))
  const roots = rows.filter((row) => row.parent === null || !names.has(row.parent))
  return roots.flatMap((root) => [root, ...descendantsOf(rows, root.name)])
}

/** `virDomainSnapshotListFlags`; the first bit is "roots" for a domain's list and "descendants" for a snapshot's. */
export const snapshotListFlag = {
  rootsOrDescendants: 1,
  metadata: 2,
  leaves: 4,
  noLeaves: 8,
  noMetadata: 16,
  inactive: 32,
  active: 64,
  diskOnly: 128,
  internal: 256,
  external: 512,
  topological: 1024,
} as const

/** Every flag of a list of snapshots. */
export const snapshotListFlags = 2047

/**
 * The rows that list flags select. Groups must all hold, flags of a group are alternatives. Every snapshot here is recorded,
 * external and of disks only, so of those groups one flag matches all and the others match none.
 */
export function selectSnapshots(
  rows: readonly SnapshotRow[],
  flags: number,
  all: readonly SnapshotRow[],
): readonly SnapshotRow[] {
  const { metadata, leaves, noLeaves, noMetadata, inactive, active, diskOnly, internal, external } = snapshotListFlag
  const matches = (group: number, flag: number): boolean => (flags & group) === 0 || (flags & flag) !== 0
  if (!matches(metadata | noMetadata, metadata)) return []
  if (!matches(inactive | active | diskOnly, diskOnly)) return []
  if (!matches(internal | external, external)) return []
  const selected = rows.filter((row) =>
    matches(leaves | noLeaves, childrenOf(all, row.name).length === 0 ? leaves : noLeaves),
  )
  return (flags & snapshotListFlag.topological) === 0 ? selected : topological(selected)
}
