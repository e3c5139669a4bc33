import { array, nothing, struct } from '../xdr/xdr-composites.ts'
import { i32, u32 } from '../xdr/xdr-codec.ts'
import { limits } from './limits.ts'
import { procedure, type ProcedureClass } from './procedure.ts'
import { document, domainRef, snapshotRef, string } from './wire-types.ts'

const query = { class: 'query' } as const
const modify = { class: 'modify' } as const
const domainFlags = struct({ domain: domainRef, flags: u32 })
const snapshotFlags = struct({ snapshot: snapshotRef, flags: u32 })
const snapshotResult = struct({ snapshot: snapshotRef })
const resultWord = struct({ result: i32 })
const countResult = struct({ count: i32 })
const namesResult = struct({ names: array(string, limits.snapshots) })
const snapshotList = struct({ snapshots: array(snapshotRef, limits.snapshots), count: i32 })

/** Flag of DOMAIN_SNAPSHOT_DELETE: only the description goes, the images stay as they are. */
export const snapshotDeleteMetadataOnly = 2

/** Domain snapshots. Creating with the flag "redefine" only writes a description, but in the domain's modify turn. */
export const snapshotProcedures = {
  domainSnapshotCreateXml: procedure(
    185,
    'DOMAIN_SNAPSHOT_CREATE_XML',
    struct({ domain: domainRef, xml: document, flags: u32 }),
    snapshotResult,
    modify,
  ),
  domainSnapshotGetXmlDesc: procedure(
    186,
    'DOMAIN_SNAPSHOT_GET_XML_DESC',
    snapshotFlags,
    struct({ xml: string }),
    query,
  ),
  domainSnapshotNum: procedure(187, 'DOMAIN_SNAPSHOT_NUM', domainFlags, countResult, query),
  domainSnapshotListNames: procedure(
    188,
    'DOMAIN_SNAPSHOT_LIST_NAMES',
    struct({ domain: domainRef, maxNames: i32, flags: u32 }),
    namesResult,
    query,
  ),
  domainSnapshotLookupByName: procedure(
    189,
    'DOMAIN_SNAPSHOT_LOOKUP_BY_NAME',
    struct({ domain: domainRef, name: string, flags: u32 }),
    snapshotResult,
    query,
  ),
  domainHasCurrentSnapshot: procedure(190, 'DOMAIN_HAS_CURRENT_SNAPSHOT', domainFlags, resultWord, query),
  domainSnapshotCurrent: procedure(191, 'DOMAIN_SNAPSHOT_CURRENT', domainFlags, snapshotResult, query),
  domainSnapshotDelete: procedure(193, 'DOMAIN_SNAPSHOT_DELETE', snapshotFlags, nothing, {
    class: ({ flags }): ProcedureClass => ((flags & snapshotDeleteMetadataOnly) !== 0 ? 'shared' : 'modify'),
  }),
  domainSnapshotGetParent: procedure(244, 'DOMAIN_SNAPSHOT_GET_PARENT', snapshotFlags, snapshotResult, query),
  domainSnapshotNumChildren: procedure(246, 'DOMAIN_SNAPSHOT_NUM_CHILDREN', snapshotFlags, countResult, query),
  domainSnapshotListChildrenNames: procedure(
    247,
    'DOMAIN_SNAPSHOT_LIST_CHILDREN_NAMES',
    struct({ snapshot: snapshotRef, maxNames: i32, flags: u32 }),
    namesResult,
    query,
  ),
  domainSnapshotIsCurrent: procedure(271, 'DOMAIN_SNAPSHOT_IS_CURRENT', snapshotFlags, resultWord, query),
  domainSnapshotHasMetadata: procedure(272, 'DOMAIN_SNAPSHOT_HAS_METADATA', snapshotFlags, resultWord, query),
  domainListAllSnapshots: procedure(
    274,
    'DOMAIN_LIST_ALL_SNAPSHOTS',
    struct({ domain: domainRef, needResults: i32, flags: u32 }),
    snapshotList,
    query,
  ),
  domainSnapshotListAllChildren: procedure(
    275,
    'DOMAIN_SNAPSHOT_LIST_ALL_CHILDREN',
    struct({ snapshot: snapshotRef, needResults: i32, flags: u32 }),
    snapshotList,
    query,
  ),
} as const
