import type { AnyFact } from '../events/catalogue.ts'
import { newFact } from '../events/catalogue.ts'
import { Fault } from '../util/fault.ts'

/** Snapshots of a domain that are recorded: parents by name, and which one is current. */
export interface Snapshots {
  readonly parents: Readonly<Record<string, string | null>>
  readonly current: string | null
}

/** No snapshot is recorded. */
export const noSnapshots: Snapshots = { parents: {}, current: null }

/** Refuses a snapshot whose name is taken. */
export function checkNewSnapshot(snapshots: Snapshots, name: string): void {
  if (Object.hasOwn(snapshots.parents, name)) {
    throw new Fault('operation_failed', `Cannot create snapshot "${name}": a snapshot of that name exists already`)
  }
}

/** The deletion of a snapshot's record; its children get its parent. */
export function decideSnapshotDelete(
  snapshots: Snapshots,
  request: { readonly name: string; readonly children: boolean; readonly childrenOnly: boolean },
): readonly AnyFact[] {
  if (!Object.hasOwn(snapshots.parents, request.name))
    throw new Fault('no_snapshot', `no domain snapshot with matching name '${request.name}'`)
  const descendants = request.children || request.childrenOnly ? descendantsOf(snapshots, request.name) : []
  const names = request.childrenOnly ? descendants : [...descendants, request.name]
  return names.map((name) =>
    newFact('SnapshotDeleted', { name, metadataOnly: true, newParentOfChildren: snapshots.parents[name] ?? null }),
  )
}

/** The snapshots after a fact. */
export function evolveSnapshots(snapshots: Snapshots, event: AnyFact): Snapshots {
  switch (event.type) {
    case 'SnapshotCreated':
      if (!event.data.metadata) return snapshots
      return { parents: { ...snapshots.parents, [event.data.name]: event.data.parent }, current: event.data.name }
    case 'SnapshotDeleted': {
      const { [event.data.name]: parent = null, ...rest } = snapshots.parents
      const parents = Object.fromEntries(
        Object.entries(rest).map(([name, above]) => [name, above === event.data.name ? parent : above]),
      )
      return { parents, current: snapshots.current === event.data.name ? parent : snapshots.current }
    }
    case 'DomainForgotten':
      return noSnapshots
    default:
      return snapshots
  }
}

/** All snapshots below one, deepest first, so that they can be deleted in that order. */
export function descendantsOf(snapshots: Snapshots, name: string): readonly string[] {
  const children = Object.entries(snapshots.parents).flatMap(([child, parent]) => (parent === name ? [child] : []))
  return children.flatMap((child) => [...descendantsOf(snapshots, child), child])
}
