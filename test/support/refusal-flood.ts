import { connect, type Socket } from 'node:net'
import pg from 'pg'
import * as v from 'valibot'
import type { DaemonFile } from '../../src/cli/daemon-file.ts'
import { FrameAssembler } from '../../src/protocol/frame-assembler.ts'
import { encodeMessage, readMessage } from '../../src/protocol/message.ts'
import { remoteProcedures } from '../../src/protocol/procedure-table.ts'
import type { ArgsOf, Procedure, ResultOf } from '../../src/protocol/procedure.ts'
import { messageStatus, messageType, programs } from '../../src/protocol/programs.ts'
import type { DomainRef } from '../../src/protocol/wire-types.ts'
import type { RpcClient } from './rpc-client.ts'

/** Calls of one connection that are sent without waiting for their replies. */
const windowCalls = 512
/** Where the serial stands in a frame: behind length, program, version, procedure and type. */
const serialOffset = 20

/** A flood: how many calls, over how many connections. */
export interface Flood {
  readonly path: string
  readonly calls: number
  readonly connections: number
  /** A domain that runs; its start is refused by the command, everything else earlier or later. */
  readonly running: DomainRef
  /** The user that connects; only root can choose one. */
  readonly uid?: number
}

/** Defines and starts a small domain of the test driver. */
export async function startGuest(client: RpcClient): Promise<DomainRef> {
  const os = "<os><type arch='x86_64'>hvm</type></os>"
  const xml = Buffer.from(`<domain type='test'><name>guest</name><memory unit='MiB'>64</memory>${os}</domain>`)
  const { domain } = await client.call(remoteProcedures.domainDefineXml, { xml })
  await client.call(remoteProcedures.domainCreate, { domain })
  return domain
}

/** Floods a daemon with calls that are all refused. Returns how many were answered by an error; throws where one was not. */
export async function flood(options: Flood): Promise<number> {
  const share = Math.ceil(options.calls / options.connections)
  const shares = Array.from({ length: options.connections }, (_, at) =>
    Math.max(0, Math.min(share, options.calls - at * share)),
  )
  const refused = await Promise.all(shares.map(async (calls) => await floodOne(options, calls)))
  return refused.reduce((sum, one) => sum + one, 0)
}

async function floodOne(options: Flood, calls: number): Promise<number> {
  const socket = connectAs(options.path, options.uid)
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  const frames = refusedFrames(options.running)
  const { promise: done, resolve, reject } = Promise.withResolvers<number>()
  const assembler = new FrameAssembler()
  let [sent, answered, isOpen] = [0, 0, false]
  const send = (): void => {
    if (answered === calls) resolve(answered)
    for (; sent < calls && sent - answered < windowCalls; sent++) {
      const frame = Buffer.from(frames[sent % frames.length] ?? '')
      frame.writeUInt32BE(sent + 1, serialOffset)
      socket.write(frame)
    }
  }
  socket.on('data', (chunk: Buffer) => {
    for (const frame of assembler.push(chunk)) {
      const { serial, status } = readMessage(frame).header
      if ((status === messageStatus.error) !== isOpen) reject(new Error(`Call ${serial} had status ${status}`))
      if (isOpen) answered++
      isOpen = true
    }
    send()
  })
  socket.once('close', () => reject(new Error(`The daemon closed the connection after ${answered} refusals`)))
  socket.write(frameOf(remoteProcedures.connectOpen, { name: 'test:///default?reason=flood', flags: 0 }))
  try {
    return await done
  } finally {
    socket.removeAllListeners('close')
    socket.destroy()
  }
}

/** Calls that are refused in different places: by the decision in the log's turn, before a command, and by the parser. */
function refusedFrames(running: DomainRef): readonly Buffer[] {
  const nobody = { uuid: '11111111-2222-4333-8444-555555555555', name: 'nobody', id: -1 }
  return [
    frameOf(remoteProcedures.domainCreate, { domain: running }),
    frameOf(remoteProcedures.domainDestroy, { domain: nobody }),
    frameOf(remoteProcedures.domainDefineXml, { xml: Buffer.from('<domain><name>x</name>') }),
  ]
}

function frameOf<P extends Procedure<ArgsOf<P>, ResultOf<P>>>(procedure: P, args: ArgsOf<P>): Buffer {
  const { number: program, version } = programs.remote
  const header = {
    program,
    version,
    procedure: procedure.number,
    type: messageType.call,
    serial: 0,
    status: messageStatus.ok,
  }
  return encodeMessage(header, procedure.args, args)
}

/** The kernel takes the credentials of a peer from the user that connects, at that moment. */
function connectAs(path: string, uid: number | undefined): Socket {
  if (uid === undefined) return connect(path)
  const own = process.geteuid?.() ?? 0
  process.seteuid?.(uid)
  try {
    return connect(path)
  } finally {
    process.seteuid?.(own)
  }
}

/** What the log holds of refusals, and its size. */
export interface RefusalLog {
  readonly recorded: number
  readonly counted: number
  readonly windows: number
  /** Tables and indexes of everything in the database's schema: the log and its read models. */
  readonly bytes: bigint
}

const rowsSchema = v.array(
  v.object({
    recorded: v.number(),
    counted: v.pipe(v.string(), v.transform(Number)),
    windows: v.number(),
    bytes: v.string(),
  }),
)

/** Reads what a daemon's log holds of refusals. */
export async function refusalLog(file: DaemonFile): Promise<RefusalLog> {
  const rows = await query(
    file,
    `select count(*) filter (where type = 'CommandRefused')::int as recorded,
      coalesce(sum((data::json ->> 'count')::int8) filter (where type = 'RefusalsCounted'), 0)::text as counted,
      count(*) filter (where type = 'RefusalsCounted')::int as windows,
      (select sum(pg_total_relation_size(oid)) from pg_class
        where relnamespace = 'public'::regnamespace and relkind = 'r')::text as bytes
    from log_events where type in ('CommandRefused', 'RefusalsCounted')`,
  )
  const [row] = v.parse(rowsSchema, rows)
  if (row === undefined) throw new Error('Cannot count the refusals: the query gave no row')
  return { ...row, bytes: BigInt(row.bytes) }
}

const eventsSchema = v.array(v.object({ type: v.string(), schema: v.number(), data: v.instance(Buffer) }))

/** Every event of a daemon's log, as it is stored. */
export async function recordedEvents(file: DaemonFile): Promise<v.InferOutput<typeof eventsSchema>> {
  const rows = await query(
    file,
    `select t.name as type, t.schema_version as schema, e.data from event e join event_type t using (type_id) order by e.pos`,
  )
  return v.parse(eventsSchema, rows)
}

async function query(file: DaemonFile, text: string): Promise<unknown> {
  const client = new pg.Client(file.database)
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(text)).rows
  } finally {
    await client.end()
  }
}
