import type { SnapshotRow } from '../../projections/snapshots.ts'
import type { DomainView, Reads } from '../commands/reads.ts'
import type { snapshotProcedures } from '../protocol/snapshot-procedures.ts'
import type { DomainRef, SnapshotRef } from '../protocol/wire-types.ts'
import { Fault } from '../util/fault.ts'
import { type Call, refuseUnknownFlags, requireCount, requireDomain } from './call.ts'
import type { Handlers } from './dispatcher.ts'
import { documentText } from './document-text.ts'
import { snapshotRefOf } from './lookup-handlers.ts'
import { childrenOf, descendantsOf, selectSnapshots, snapshotListFlag, snapshotListFlags } from './snapshot-tree.ts'
import { soon } from './soon.ts'

/** `virDomainSnapshotCreateFlags`. */
const createFlag = { noMetadata: 4, diskOnly: 16, reuseExternal: 32, quiesce: 64, atomic: 128, validate: 512 } as const
const createFlags =
  createFlag.noMetadata | createFlag.diskOnly | createFlag.reuseExternal | createFlag.atomic | createFlag.validate
/** `virDomainSnapshotDeleteFlags`. */
const deleteFlag = { children: 1, metadataOnly: 2, childrenOnly: 4 } as const
const xmlSecure = 1

/** Handlers of snapshots. Metadata cannot be absent: a snapshot without it is not known here. */
export const snapshotHandlers: Handlers<typeof snapshotProcedures, Call> = {
  async domainSnapshotCreateXml({ reads, commands, caller }, { domain, xml, flags }) {
    refuseCreateFlags(flags)
    const view = requireDomain(reads, domain)
    const name = await commands.createSnapshot(caller, {
      uuid: view.uuid,
      xml: documentText(xml, 'snapshot description'),
      diskOnly: (flags & createFlag.diskOnly) !== 0,
      reuseExternal: (flags & createFlag.reuseExternal) !== 0,
      noMetadata: (flags & createFlag.noMetadata) !== 0,
    })
    return { snapshot: snapshotRefOf(view, name) }
  },
  async domainSnapshotDelete({ reads, commands, caller }, { snapshot, flags }) {
    refuseUnknownFlags(flags, 7, 'DOMAIN_SNAPSHOT_DELETE')
    const { view, row } = requireSnapshot(reads, snapshot)
    await commands.deleteSnapshot(caller, {
      uuid: view.uuid,
      name: row.name,
      children: (flags & deleteFlag.children) !== 0,
      childrenOnly: (flags & deleteFlag.childrenOnly) !== 0,
      metadataOnly: (flags & deleteFlag.metadataOnly) !== 0,
    })
    return {}
  },
  domainSnapshotGetXmlDesc({ connection, reads, texts }, { snapshot, flags }) {
    refuseUnknownFlags(flags, xmlSecure, 'DOMAIN_SNAPSHOT_GET_XML_DESC')
    if ((flags & xmlSecure) !== 0 && connection.readOnly) {
      throw new Fault('access_denied', 'read only access prevents DOMAIN_SNAPSHOT_GET_XML_DESC with secure flag')
    }
    const { view, row } = requireSnapshot(reads, snapshot)
    return soon(texts.snapshotXml(view, row.name), (xml) => ({ xml }))
  },
  domainSnapshotNum: ({ reads }, { domain, flags }) => ({ count: listed(reads, domain, flags).rows.length }),
  domainSnapshotListNames: ({ reads }, { domain, maxNames, flags }) => ({
    names: names(listed(reads, domain, flags).rows, maxNames),
  }),
  domainListAllSnapshots({ reads }, { domain, needResults, flags }) {
    const { view, rows } = listed(reads, domain, flags)
    return { snapshots: needResults ? refs(view, rows) : [], count: rows.length }
  },
  domainSnapshotNumChildren: ({ reads }, { snapshot, flags }) => ({ count: below(reads, snapshot, flags).rows.length }),
  domainSnapshotListChildrenNames: ({ reads }, { snapshot, maxNames, flags }) => ({
    names: names(below(reads, snapshot, flags).rows, maxNames),
  }),
  domainSnapshotListAllChildren({ reads }, { snapshot, needResults, flags }) {
    const { view, rows } = below(reads, snapshot, flags)
    return { snapshots: needResults ? refs(view, rows) : [], count: rows.length }
  },
  domainSnapshotLookupByName({ reads }, { domain, name, flags }) {
    refuseUnknownFlags(flags, 0, 'DOMAIN_SNAPSHOT_LOOKUP_BY_NAME')
    const { view, row } = requireSnapshot(reads, { name, domain })
    return { snapshot: snapshotRefOf(view, row.name) }
  },
  domainHasCurrentSnapshot({ reads }, { domain, flags }) {
    refuseUnknownFlags(flags, 0, 'DOMAIN_HAS_CURRENT_SNAPSHOT')
    return { result: current(reads, requireDomain(reads, domain)) === undefined ? 0 : 1 }
  },
  domainSnapshotCurrent({ reads }, { domain, flags }) {
    refuseUnknownFlags(flags, 0, 'DOMAIN_SNAPSHOT_CURRENT')
    const view = requireDomain(reads, domain)
    const row = current(reads, view)
    if (row === undefined) throw new Fault('no_snapshot', 'the domain does not have a current snapshot')
    return { snapshot: snapshotRefOf(view, row.name) }
  },
  domainSnapshotGetParent({ reads }, { snapshot, flags }) {
    refuseUnknownFlags(flags, 0, 'DOMAIN_SNAPSHOT_GET_PARENT')
    const { view, row } = requireSnapshot(reads, snapshot)
    if (row.parent === null) throw new Fault('no_snapshot', `snapshot '${row.name}' does not have a parent`)
    return { snapshot: snapshotRefOf(view, row.parent) }
  },
  domainSnapshotIsCurrent({ reads }, { snapshot, flags }) {
    refuseUnknownFlags(flags, 0, 'DOMAIN_SNAPSHOT_IS_CURRENT')
    return { result: requireSnapshot(reads, snapshot).row.is_current ? 1 : 0 }
  },
  domainSnapshotHasMetadata({ reads }, { snapshot, flags }) {
    refuseUnknownFlags(flags, 0, 'DOMAIN_SNAPSHOT_HAS_METADATA')
    requireSnapshot(reads, snapshot)
    return { result: 1 }
  },
}

function refuseCreateFlags(flags: number): void {
  if ((flags & createFlag.quiesce) !== 0) throw new Fault('argument_unsupported', 'QEMU guest agent is not configured')
  const unserved = (flags & ~createFlags) >>> 0
  if (unserved !== 0) {
    throw new Fault(
      'argument_unsupported',
      `Cannot create the snapshot with flags 0x${unserved.toString(16)}: redefining, halting and live memory are not served`,
    )
  }
}

function requireSnapshot(reads: Reads, wanted: SnapshotRef): { readonly view: DomainView; readonly row: SnapshotRow } {
  const view = requireDomain(reads, wanted.domain)
  const row = reads.snapshots(view.uuid).find((one) => one.name === wanted.name)
  if (row === undefined) throw new Fault('no_snapshot', `no domain snapshot with matching name '${wanted.name}'`)
  return { view, row }
}

function current(reads: Reads, view: DomainView): SnapshotRow | undefined {
  return reads.snapshots(view.uuid).find((row) => row.is_current)
}

/** A domain's snapshots that the flags select; the first bit asks for the roots only. */
function listed(reads: Reads, domain: DomainRef, flags: number) {
  refuseUnknownFlags(flags, snapshotListFlags, 'DOMAIN_LIST_ALL_SNAPSHOTS')
  const view = requireDomain(reads, domain)
  const all = reads.snapshots(view.uuid)
  const rootsOnly = (flags & snapshotListFlag.rootsOrDescendants) !== 0
  return { view, rows: selectSnapshots(rootsOnly ? all.filter((row) => row.parent === null) : all, flags, all) }
}

/** Snapshots below one that the flags select; the first bit asks for all descendants instead of the children. */
function below(reads: Reads, snapshot: SnapshotRef, flags: number) {
  refuseUnknownFlags(flags, snapshotListFlags, 'DOMAIN_SNAPSHOT_LIST_ALL_CHILDREN')
  const { view, row } = requireSnapshot(reads, snapshot)
  const all = reads.snapshots(view.uuid)
  const deep = (flags & snapshotListFlag.rootsOrDescendants) !== 0
  return { view, rows: selectSnapshots(deep ? descendantsOf(all, row.name) : childrenOf(all, row.name), flags, all) }
}

function names(rows: readonly SnapshotRow[], maxNames: number): readonly string[] {
  return rows.slice(0, requireCount(maxNames, 'maxnames')).map((row) => row.name)
}

function refs(view: DomainView, rows: readonly SnapshotRow[]): readonly SnapshotRef[] {
  return rows.map((row) => snapshotRefOf(view, row.name))
}
