import type pg from 'pg'
import { eventLeaf } from '../../src/eventstore/event-leaf.ts'
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
export async function readOwnLog(client: pg.Client): Promise<LoggedLog> {
  const rows = await readCommitRows(client)
  const ends = new Set(rows.map(({ last_pos }) => BigInt(last_pos)))
  const events: LoggedEvent[] = []
  const roots = new Map([[-1n, rootText(emptyTree)]])
  let edge: TreeEdge = emptyTree
  for await (const row of eventRows(client)) {
    const event = loggedEvent(row)
    events.push(event)
    edge = appendLeaves(edge, [leafOf(row)])
    if (ends.has(event.position)) roots.set(event.position, rootText(edge))
  }
  const commits = rows.map((row) => loggedCommit(row, roots))
  const blobs = await client.query<{ sha256: string }>(`select encode(sha256(bytes), 'hex') as sha256 from blob`)
  return { events, commits, blobs: new Set(blobs.rows.map(({ sha256 }) => sha256)) }
}

interface CommitRow {
  readonly commit_no: string
  readonly first_pos: string
  readonly last_pos: string
  readonly at_us: string
  readonly epoch: number
  readonly root: string
}

async function readCommitRows(client: pg.Client): Promise<readonly CommitRow[]> {
  const text = `select commit_no, first_pos, last_pos, at_us, epoch, encode(root, 'hex') as root from commit order by commit_no`
  return (await client.query<CommitRow>(text)).rows
}

async function* eventRows(client: pg.Client): AsyncGenerator<EventRow, void> {
  let last = '-1'
  for (;;) {
    const { rows } = await client.query<EventRow>(eventText, [last])
    yield* rows
    last = rows.at(-1)?.pos ?? last
    if (rows.length < pageRows) return
  }
}

function rootText(edge: TreeEdge): string {
  return Buffer.from(treeRoot(edge)).toString('hex')
}

function loggedCommit(row: CommitRow, roots: ReadonlyMap<bigint, string>): LoggedCommit {
  const lastPosition = BigInt(row.last_pos)
  return {
    commitNo: BigInt(row.commit_no),
    firstPosition: BigInt(row.first_pos),
    lastPosition,
    recordedAtUs: BigInt(row.at_us),
    epoch: row.epoch,
    root: row.root,
    computedRoot: roots.get(lastPosition) ?? 'nothing',
  }
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
