import pg from 'pg'
import { eventLeaf } from '../../src/eventstore/event-leaf.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { appendLeaves, emptyTree, type TreeEdge, treeRoot } from '../../src/eventstore/tree-edge.ts'
import { digestOf, parseEventData } from './event-data.ts'
import type { LoggedCommit, LoggedEvent, LoggedLog } from './history.ts'

const pageRows = 5_000

interface EventRow {
  readonly pos: string
  readonly stream: string
  readonly revision: string
  readonly type: string
  readonly schema_version: number
  readonly event_id: string
  readonly commit_no: string
  readonly at_us: string
  readonly epoch: number
  readonly data: Buffer
  readonly meta: Buffer
}

// Not by the store's own reading: what it skips is to be seen. No event may fall out of a join.
const eventText = `
  select e.pos, s.name as stream, e.revision, t.name as type, t.schema_version, e.event_id, e.commit_no, c.at_us, c.epoch, e.data, e.meta
  from event e left join stream s using (stream_id) left join event_type t using (type_id) left join commit c using (commit_no)
  where e.pos > $1::int8 order by e.pos limit ${pageRows}`

/** Reads our log from its tables, from position 0, and computes the Merkle root after each commit from the events. */
export async function readOwnLog(address: PostgresAddress): Promise<LoggedLog> {
  const client = new pg.Client({ ...address, connectionTimeoutMillis: 5_000 })
  await client.connect()
  try {
    await client.query('begin isolation level repeatable read read only')
    const events: LoggedEvent[] = []
    const roots = new Map<bigint, string>()
    let edge: TreeEdge = emptyTree
    let last = -1n
    for (;;) {
      const { rows } = await client.query<EventRow>(eventText, [last])
      for (const row of rows) {
        const event = loggedEvent(row)
        events.push(event)
        edge = appendLeaves(edge, [leafOf(row)])
        last = event.position
        roots.set(last, Buffer.from(treeRoot(edge)).toString('hex'))
      }
      if (rows.length < pageRows) break
    }
    const commits = await readCommits(client, roots)
    const blobs = await client.query<{ sha256: string }>(`select encode(sha256(bytes), 'hex') as sha256 from blob`)
    return { events, commits, blobs: new Set(blobs.rows.map(({ sha256 }) => sha256)) }
  } finally {
    await client.end()
  }
}

async function readCommits(client: pg.Client, roots: ReadonlyMap<bigint, string>): Promise<readonly LoggedCommit[]> {
  const { rows } = await client.query<{
    readonly commit_no: string
    readonly first_pos: string
    readonly last_pos: string
    readonly at_us: string
    readonly epoch: number
    readonly root: string
  }>(`select commit_no, first_pos, last_pos, at_us, epoch, encode(root, 'hex') as root from commit order by commit_no`)
  const emptyRoot = Buffer.from(treeRoot(emptyTree)).toString('hex')
  return rows.map((row) => ({
    commitNo: BigInt(row.commit_no),
    firstPosition: BigInt(row.first_pos),
    lastPosition: BigInt(row.last_pos),
    recordedAtUs: BigInt(row.at_us),
    epoch: row.epoch,
    root: row.root,
    computedRoot: row.last_pos === '-1' ? emptyRoot : (roots.get(BigInt(row.last_pos)) ?? 'nothing'),
  }))
}

function loggedEvent(row: EventRow): LoggedEvent {
  const data = parseEventData(row.data.toString())
  return {
    position: BigInt(row.pos),
    stream: row.stream,
    revision: BigInt(row.revision),
    eventId: row.event_id,
    key: data?.key ?? null,
    value: data?.value ?? null,
    digest: digestOf(row.data),
    blob: data?.blob ?? null,
    commitNo: BigInt(row.commit_no),
  }
}

function leafOf(row: EventRow): Uint8Array {
  return eventLeaf({
    position: BigInt(row.pos),
    stream: row.stream,
    revision: BigInt(row.revision),
    type: row.type,
    schema: row.schema_version,
    eventId: row.event_id,
    commitNo: BigInt(row.commit_no),
    epoch: row.epoch,
    recordedAtUs: BigInt(row.at_us),
    data: row.data,
    meta: row.meta,
  })
}
