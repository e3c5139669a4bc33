import * as v from 'valibot'
import { about, fact, type FactsOf, int64, sha256Text } from './fact.ts'
import { layer } from './shared-data.ts'

const name = about(v.string(), 'name of the snapshot')
const description = about(v.nullable(v.string()), 'what the client wrote about it; null = nothing')
const parent = about(v.nullable(v.string()), 'name of the snapshot that it was made on; null = none')
const disk = about(v.string(), 'target of the disk, such as vda')
const metadata = about(v.boolean(), 'whether the snapshot is listed from then on, or its files alone are made')

/** Facts of snapshots; stream `domain-<uuid>`. */
export const snapshotFacts = {
  SnapshotRequested: fact(1, {
    meaning: 'An external disk-only snapshot was asked for; the overlays it will create are named.',
    data: v.object({
      name,
      description,
      parent,
      disks: about(
        v.array(
          v.object({
            disk,
            active: about(v.number(), 'number of the layer that is active'),
            overlay: about(v.number(), 'number that the layer above it will have'),
            path: about(v.string(), 'path of the image that it will be'),
          }),
        ),
        'disks that take part',
      ),
      reuseExternal: about(v.boolean(), 'whether the images exist already, made by the client'),
      metadata,
    }),
  }),
  SnapshotCreated: fact(1, {
    meaning: 'The overlays are the active images of their disks; what was active before is now frozen in time.',
    data: v.object({
      name,
      description,
      parent,
      state: about(v.string(), 'what the domain was at that moment: disk-snapshot = it ran, shutoff'),
      createdAtUs: about(int64, 'when, as clients are told'),
      disks: about(
        v.array(
          v.object({
            disk,
            snapshot: about(v.string(), 'how the disk took part: external, internal or no'),
            overlay: about(v.nullable(layer), 'the layer that is active from here on; null = the disk took no part'),
          }),
        ),
        'all disks of the domain',
      ),
      definitionSha256: about(sha256Text, 'text of the definition at that moment'),
      metadata,
    }),
  }),
  SnapshotDeleted: fact(1, {
    meaning: 'The record of a snapshot was removed; its files were left alone.',
    data: v.object({
      name,
      metadataOnly: about(v.boolean(), 'whether the client asked for the record only'),
      newParentOfChildren: about(v.nullable(v.string()), 'whom the snapshots made on it stand on now; null = nobody'),
    }),
  }),
}

/** Union of {@link snapshotFacts}. */
export type SnapshotEvent = FactsOf<typeof snapshotFacts>
