import * as v from 'valibot'
import { fact, type FactsOf, int64, sha256Text } from './fact.ts'
import { layer } from './shared-data.ts'

/** Facts of snapshots; stream `domain-<uuid>`. */
export const snapshotFacts = {
  SnapshotRequested: fact(1, {
    meaning: 'An external disk-only snapshot was asked for; the overlays it will create are named.',
    data: v.object({
      name: v.string(),
      description: v.nullable(v.string()),
      parent: v.nullable(v.string()),
      disks: v.array(v.object({ disk: v.string(), active: v.number(), overlay: v.number(), path: v.string() })),
      reuseExternal: v.boolean(),
      metadata: v.boolean(),
    }),
  }),
  SnapshotCreated: fact(1, {
    meaning: 'The overlays are the active images of their disks; what was active before is now frozen in time.',
    data: v.object({
      name: v.string(),
      description: v.nullable(v.string()),
      parent: v.nullable(v.string()),
      state: v.string(),
      createdAtUs: int64,
      disks: v.array(v.object({ disk: v.string(), snapshot: v.string(), overlay: v.nullable(layer) })),
      definitionSha256: sha256Text,
      metadata: v.boolean(),
    }),
  }),
  SnapshotDeleted: fact(1, {
    meaning: 'The record of a snapshot was removed; its files were left alone.',
    data: v.object({ name: v.string(), metadataOnly: v.boolean(), newParentOfChildren: v.nullable(v.string()) }),
  }),
}

/** Union of {@link snapshotFacts}. */
export type SnapshotEvent = FactsOf<typeof snapshotFacts>
