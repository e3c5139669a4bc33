import { projection } from '../src/readmodel/projection.ts'
import { remove, type RowChange, type RowsOf, table, upsert } from '../src/readmodel/table.ts'
import { type DomainFact, uuidOf } from './domain-fact.ts'

/** A recorded snapshot and its place in the tree. */
export interface SnapshotRow {
  readonly domain_uuid: string
  readonly name: string
  readonly parent: string | null
  readonly is_current: boolean
  readonly description: string | null
  readonly state: string
  readonly created_at_us: bigint
  readonly definition_sha256: string
}

/** What a snapshot did with one disk. */
export interface SnapshotDiskRow {
  readonly domain_uuid: string
  readonly name: string
  readonly disk: string
  readonly ordinal: number
  readonly snapshot: string
  readonly format: string | null
  readonly path: string | null
}

/** Snapshots by domain and name; `by_domain` finds the tree of a domain. */
export const snapshotsTable = table<SnapshotRow>()('snapshots', ['domain_uuid', 'name'], {
  by_domain: (row) => row.domain_uuid,
})

/** Disks of snapshots; `by_snapshot` is keyed by `uuid/name`. */
export const snapshotDisksTable = table<SnapshotDiskRow>()('snapshot_disks', ['domain_uuid', 'name', 'disk'], {
  by_snapshot: (row) => `${row.domain_uuid}/${row.name}`,
})

interface SnapshotTables {
  readonly snapshots: RowsOf<typeof snapshotsTable>
  readonly disks: RowsOf<typeof snapshotDisksTable>
}

/** Read model of snapshots. */
export const snapshots = projection<DomainFact>()({
  name: 'snapshots',
  version: 1,
  live: true,
  tables: { snapshots: snapshotsTable, disks: snapshotDisksTable },
  on: {
    SnapshotCreated: (event, tables, recorded) => {
      if (!event.data.metadata) return []
      const uuid = uuidOf(recorded.stream)
      const { name, parent, description, state, createdAtUs, definitionSha256 } = event.data
      const rows = tables.snapshots.by('by_domain', uuid)
      return [
        ...rows.filter((row) => row.is_current).map((row) => upsert(snapshotsTable, { ...row, is_current: false })),
        upsert(snapshotsTable, {
          domain_uuid: uuid,
          name,
          parent,
          is_current: true,
          description,
          state,
          created_at_us: createdAtUs,
          definition_sha256: definitionSha256,
        }),
        ...event.data.disks.map((disk, ordinal) =>
          upsert(snapshotDisksTable, {
            domain_uuid: uuid,
            name,
            disk: disk.disk,
            ordinal,
            snapshot: disk.snapshot,
            format: disk.overlay?.format ?? null,
            path: disk.overlay?.path ?? null,
          }),
        ),
      ]
    },
    SnapshotDeleted: (event, tables, recorded) =>
      withoutSnapshot(uuidOf(recorded.stream), { name: event.data.name, tables }),
    DomainForgotten: (_event, tables, recorded) => {
      const uuid = uuidOf(recorded.stream)
      return tables.snapshots.by('by_domain', uuid).flatMap((row) => removal(uuid, { name: row.name, tables }))
    },
  },
})

function withoutSnapshot(uuid: string, what: { readonly name: string; readonly tables: SnapshotTables }): RowChange[] {
  const { name, tables } = what
  const gone = tables.snapshots.get({ domain_uuid: uuid, name })
  if (gone === undefined) return []
  const rows = tables.snapshots.by('by_domain', uuid)
  const orphans = rows.filter((row) => row.parent === name).map((row) => ({ ...row, parent: gone.parent }))
  const heir = gone.is_current ? rows.find((row) => row.name === gone.parent) : undefined
  return [
    ...removal(uuid, what),
    ...orphans.map((row) => upsert(snapshotsTable, row)),
    ...(heir === undefined ? [] : [upsert(snapshotsTable, { ...heir, is_current: true })]),
  ]
}

function removal(uuid: string, what: { readonly name: string; readonly tables: SnapshotTables }): RowChange[] {
  const disks = what.tables.disks.by('by_snapshot', `${uuid}/${what.name}`)
  return [
    remove(snapshotsTable, { domain_uuid: uuid, name: what.name }),
    ...disks.map((disk) => remove(snapshotDisksTable, disk)),
  ]
}
