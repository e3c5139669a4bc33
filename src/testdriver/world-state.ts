import * as v from 'valibot'
import type { TestMachine } from './test-machine.ts'

/** An image file of the test world. */
export interface TestImage {
  readonly path: string
  readonly format: 'qcow2' | 'raw'
  readonly virtualSizeBytes: bigint
  readonly backing: { readonly path: string; readonly format: 'qcow2' | 'raw' } | null
  readonly inode: bigint
  readonly sizeBytes: bigint
  readonly changedNs: bigint
}

/** All that lives on when the daemon dies: running domains and image files. */
export interface WorldState {
  /** Boot of the host in which the machines run; in another boot they are gone. */
  readonly bootId: string
  readonly machines: readonly TestMachine[]
  readonly images: readonly TestImage[]
  /** Paths at which no file stands, although any path not named here holds one on demand. */
  readonly removedPaths: readonly string[]
  /** Counts pids and inodes. */
  readonly lastNumber: number
}

/** Where the state is kept between two lives of the daemon. */
export interface WorldStore {
  /** The state that was saved last; null when none was. */
  load(): WorldState | null
  /** Returns when a later `load`, also by another process, gives this state. */
  save(state: WorldState): void
}

/** A world without any domain or file. */
export function emptyWorld(bootId: string): WorldState {
  return { bootId, machines: [], images: [], removedPaths: [], lastNumber: 0 }
}

const bytes = v.pipe(
  v.string(),
  v.regex(/^\d{1,20}$/),
  v.transform((digits) => BigInt(digits)),
)
const count = v.pipe(v.number(), v.integer(), v.minValue(0))
const timeMs = v.pipe(v.number(), v.finite())
const format = v.picklist(['qcow2', 'raw'])
const jobStatus = v.picklist([
  'created',
  'running',
  'paused',
  'ready',
  'standby',
  'waiting',
  'pending',
  'aborting',
  'concluded',
  'null',
])

const job = v.strictObject({
  jobId: v.string(),
  target: v.string(),
  kind: v.picklist(['pull', 'commit', 'active_commit']),
  topIndex: count,
  baseIndex: v.nullable(count),
  status: jobStatus,
  sinceMs: timeMs,
  currentBytes: bytes,
  totalBytes: bytes,
  bytesPerSecond: bytes,
  finalizing: v.boolean(),
  error: v.nullable(v.string()),
})

const disk = v.strictObject({
  target: v.string(),
  readOnly: v.boolean(),
  capacityBytes: bytes,
  layers: v.array(v.strictObject({ index: count, path: v.string(), format })),
  wroteMs: timeMs,
})

const machine = v.strictObject({
  uuid: v.string(),
  name: v.string(),
  pid: count,
  startTicks: bytes,
  cpus: v.picklist(['prelaunch', 'running', 'paused']),
  atMs: timeMs,
  ranMs: timeMs,
  powerOffAtRanMs: v.nullable(timeMs),
  memoryBytes: bytes,
  balloonBytes: v.nullable(bytes),
  disks: v.array(disk),
  jobs: v.array(job),
})

const image = v.strictObject({
  path: v.string(),
  format,
  virtualSizeBytes: bytes,
  backing: v.nullable(v.strictObject({ path: v.string(), format })),
  inode: bytes,
  sizeBytes: bytes,
  changedNs: bytes,
})

const world = v.strictObject({
  format: v.literal('chronovisor test world 1'),
  bootId: v.string(),
  machines: v.array(machine),
  images: v.array(image),
  removedPaths: v.array(v.string()),
  lastNumber: count,
})

/** The state as JSON text; sizes are strings, as everywhere in JSON. */
export function printWorld(state: WorldState): string {
  const document = { format: 'chronovisor test world 1', ...state }
  return `${JSON.stringify(document, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}` : value), 2)}\n`
}

/** Reads what printWorld wrote; throws an Error that names the place for anything else. */
export function parseWorld(text: string): WorldState {
  const parsed = v.safeParse(world, JSON.parse(text))
  if (parsed.success) {
    const { format: _format, ...state } = parsed.output
    return state
  }
  const [issue] = parsed.issues
  throw new Error(`"${v.getDotPath(issue) ?? 'the document'}": ${issue.message}`)
}
