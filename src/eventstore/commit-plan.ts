import { categoryOf } from '../events/stream-names.ts'
import type { Batch } from './batch.ts'
import type { CommitStatement } from './commit-participant.ts'
import { eventLeaf } from './event-leaf.ts'
import { type LogNames, typeKey } from './log-names.ts'
import type { Blob, LogHead, RecordedEvent } from './recorded-event.ts'
import { appendLeaves, encodeEdge, type TreeEdge, treeRoot } from './tree-edge.ts'

/** A commit ready to be sent, and what the writer remembers once it is recorded. Sent again it is the very same. */
export interface CommitPlan {
  readonly head: LogHead
  readonly edge: TreeEdge
  readonly statements: readonly CommitStatement[]
  /** Streams, types and categories as they are after the commit. */
  remember(names: LogNames): void
}

const edgeEvery = 256n

/** Makes the log's own statements of a batch: events, the commit with its root, new names, big texts, the tree's edge now and then. */
export function planCommit(batch: Batch, from: { before: LogHead; edge: TreeEdge }): CommitPlan {
  const numbers = numberNames(batch)
  const edge = appendLeaves(from.edge, batch.events.map(eventLeaf))
  const position = batch.nextPosition - 1n
  const root = treeRoot(edge)
  const head = { commitNo: batch.commitNo, position, recordedAtUs: batch.recordedAtUs, epoch: batch.epoch, root }
  const crossed = edge.size / edgeEvery > from.edge.size / edgeEvery
  const statements = [
    commitStatement(head, from.before),
    eventStatement(batch.events, numbers),
    ...newNameStatements(numbers),
    ...(batch.blobs.size > 0 ? [blobStatement([...batch.blobs.values()])] : []),
    ...(crossed ? [edgeStatement(edge)] : []),
  ]
  return { head, edge, statements, remember: (names) => rememberNames(names, { events: batch.events, numbers }) }
}

interface NewName {
  readonly name: string
  readonly id: bigint
}

interface Numbers {
  readonly streams: ReadonlyMap<string, bigint>
  readonly types: ReadonlyMap<string, number>
  readonly newStreams: readonly (NewName & { readonly categoryId: number; readonly firstPos: bigint })[]
  readonly newTypes: readonly (NewName & { readonly type: string; readonly schema: number })[]
  readonly newCategories: readonly NewName[]
}

function numberNames(batch: Batch): Numbers {
  const streams = new Map<string, bigint>()
  const types = new Map<string, number>()
  const categories = new Map<string, number>()
  const newStreams: Numbers['newStreams'][number][] = []
  const newTypes: Numbers['newTypes'][number][] = []
  const newCategories: NewName[] = []
  for (const event of batch.events) {
    const key = typeKey(event.type, event.schema)
    if (!types.has(key)) {
      const known = batch.typeIds.get(key) ?? undefined
      const id = known ?? batch.names.nextTypeId + newTypes.length
      if (known === undefined) newTypes.push({ name: key, id: BigInt(id), type: event.type, schema: event.schema })
      types.set(key, id)
    }
    if (streams.has(event.stream)) continue
    const head = batch.heads.get(event.stream)
    if (head !== null && head !== undefined) {
      streams.set(event.stream, head.streamId)
      continue
    }
    const category = categoryOf(event.stream)
    const knownCategory = categories.get(category) ?? batch.categoryIds.get(category) ?? undefined
    const categoryId = knownCategory ?? batch.names.nextCategoryId + newCategories.length
    if (knownCategory === undefined) newCategories.push({ name: category, id: BigInt(categoryId) })
    categories.set(category, categoryId)
    const id = batch.names.nextStreamId + BigInt(newStreams.length)
    newStreams.push({ name: event.stream, id, categoryId, firstPos: event.position })
    streams.set(event.stream, id)
  }
  return { streams, types, newStreams, newTypes, newCategories }
}

function rememberNames(
  names: LogNames,
  { events, numbers }: { events: readonly RecordedEvent[]; numbers: Numbers },
): void {
  names.nextStreamId += BigInt(numbers.newStreams.length)
  names.nextTypeId += numbers.newTypes.length
  names.nextCategoryId += numbers.newCategories.length
  for (const { name, id } of numbers.newTypes) names.setTypeId(name, Number(id))
  for (const { name, id } of numbers.newCategories) names.setCategoryId(name, Number(id))
  for (const event of events) {
    const streamId = numbers.streams.get(event.stream)
    if (streamId !== undefined) names.setHead(event.stream, { streamId, revision: event.revision })
  }
}

function commitStatement(head: LogHead, before: LogHead): CommitStatement {
  return {
    name: 'log_commit',
    sql: `insert into commit (commit_no, prev_commit, prev_last, first_pos, last_pos, at_us, epoch, root)
      values ($1::int8, $2::int8, $3::int8, $3::int8 + 1, $4::int8, $5::int8, $6::int4, $7::bytea)`,
    values: [
      String(head.commitNo),
      String(before.commitNo),
      String(before.position),
      String(head.position),
      String(head.recordedAtUs),
      String(head.epoch),
      head.root,
    ],
    expectedRows: null,
  }
}

/** All payloads go as one binary value that the server cuts up: half the bytes of an array of hex texts. */
function eventStatement(events: readonly RecordedEvent[], numbers: Numbers): CommitStatement {
  const first = events[0]
  if (first === undefined) throw new Error('Cannot commit a batch without events')
  const ends: number[] = []
  let end = 0
  for (const event of events) {
    ends.push((end += event.data.length), (end += event.meta.length))
  }
  const dataEnds = ends.filter((_, index) => index % 2 === 0)
  const metaEnds = ends.filter((_, index) => index % 2 === 1)
  return {
    name: 'log_event',
    sql: `insert into event (pos, stream_id, revision, type_id, commit_no, event_id, data, meta)
      select $1::int8 + n - 1, stream_id, revision, type_id, $2::int8, event_id,
        substring($3::bytea from data_start + 1 for data_end - data_start),
        substring($3::bytea from data_end + 1 for meta_end - data_end)
      from unnest($4::int8[], $5::int8[], $6::int4[], $7::uuid[], $8::int4[], $9::int4[], $10::int4[])
        with ordinality as e (stream_id, revision, type_id, event_id, data_start, data_end, meta_end, n)`,
    values: [
      String(first.position),
      String(first.commitNo),
      Buffer.concat(events.flatMap((event) => [event.data, event.meta])),
      arrayText(events.map((event) => numbers.streams.get(event.stream))),
      arrayText(events.map((event) => event.revision)),
      arrayText(events.map((event) => numbers.types.get(typeKey(event.type, event.schema)))),
      arrayText(events.map((event) => event.eventId)),
      arrayText([0, ...metaEnds.slice(0, -1)]),
      arrayText(dataEnds),
      arrayText(metaEnds),
    ],
    expectedRows: null,
  }
}

function newNameStatements({ newStreams, newTypes, newCategories }: Numbers): readonly CommitStatement[] {
  const statements: CommitStatement[] = []
  if (newCategories.length > 0) {
    statements.push({
      name: 'log_category',
      sql: 'insert into category (category_id, name) select id, name from json_to_recordset($1::json) as c (id int4, name text)',
      values: [jsonText(newCategories)],
      expectedRows: null,
    })
  }
  if (newTypes.length > 0) {
    statements.push({
      name: 'log_event_type',
      sql: `insert into event_type (type_id, name, schema_version)
        select id, type, schema from json_to_recordset($1::json) as t (id int4, type text, schema int4)`,
      values: [jsonText(newTypes)],
      expectedRows: null,
    })
  }
  if (newStreams.length > 0) {
    statements.push({
      name: 'log_stream',
      sql: `insert into stream (stream_id, name, category_id, first_pos)
        select id, name, "categoryId", "firstPos"
        from json_to_recordset($1::json) as s (id int8, name text, "categoryId" int4, "firstPos" int8)`,
      values: [jsonText(newStreams)],
      expectedRows: null,
    })
  }
  return statements
}

function blobStatement(blobs: readonly Blob[]): CommitStatement {
  let end = 0
  const ends = blobs.map((blob) => (end += blob.bytes.length))
  return {
    name: 'log_blob',
    sql: `insert into blob (sha256, bytes)
      select decode(sha256, 'hex'), substring($1::bytea from blob_start + 1 for blob_end - blob_start)
      from unnest($2::text[], $3::int4[], $4::int4[]) as b (sha256, blob_start, blob_end) on conflict do nothing`,
    values: [
      Buffer.concat(blobs.map((blob) => blob.bytes)),
      arrayText(blobs.map((blob) => blob.sha256)),
      arrayText([0, ...ends.slice(0, -1)]),
      arrayText(ends),
    ],
    expectedRows: null,
  }
}

function edgeStatement(edge: TreeEdge): CommitStatement {
  return {
    name: 'log_tree_edge',
    sql: 'insert into tree_edge (size, hashes) values ($1::int8, $2::bytea)',
    values: [String(edge.size), encodeEdge(edge)],
    expectedRows: null,
  }
}

// Numbers, UUIDs and hexadecimal digits only: nothing that an array's text form would have to escape.
function arrayText(items: readonly (bigint | number | string | undefined)[]): string {
  return `{${items.join(',')}}`
}

function jsonText(rows: readonly object[]): string {
  return JSON.stringify(rows, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
}
