import * as v from 'valibot'
import { brokenNames } from './broken-builds.ts'

// The processes of a run are told what to do by one JSON argument, and live no longer than the pipe to their standard input.

const address = v.object({ host: v.string(), port: v.number(), user: v.string(), database: v.string() })
const broken = v.nullable(v.picklist(brokenNames))
const bigint = v.pipe(
  v.string(),
  v.transform((digits) => BigInt(digits)),
)
const target = v.picklist(['ours', 'emmett', 'message-db'])

const writerOptions = v.object({
  target,
  broken,
  /** Serves clients on `socketPath`; without it, only tries to become the writer and says what came of it. */
  socketPath: v.nullable(v.string()),
  address,
  /** Where the consumer in the writer's process writes to; null: none. */
  output: v.nullable(address),
  /** Where readers in other processes hear of commits; null: nowhere. */
  feed: v.nullable(v.string()),
  clockOffsetUs: bigint,
  inDoubtWaitMs: v.number(),
  lockWaitMs: v.number(),
  partitionEvents: bigint,
  peersDirectory: v.nullable(v.string()),
})

const consumerOptions = v.object({
  target,
  broken,
  name: v.string(),
  feed: v.nullable(v.string()),
  prefix: v.string(),
  address,
  output: address,
  peersDirectory: v.nullable(v.string()),
})

/** What a process that writes is told. */
export type WriterOptions = v.InferOutput<typeof writerOptions>
/** What a consumer's process is told. */
export type ConsumerProcessOptions = v.InferOutput<typeof consumerOptions>
/** The stores that a run can be aimed at. */
export type TargetName = v.InferOutput<typeof target>

/** Reads the argument of a writing process. */
export function parseWriterOptions(text: string | undefined): WriterOptions {
  return v.parse(writerOptions, JSON.parse(text ?? ''))
}

/** Reads the argument of a consumer's process. */
export function parseConsumerOptions(text: string | undefined): ConsumerProcessOptions {
  return v.parse(consumerOptions, JSON.parse(text ?? ''))
}

/** The argument for a process. */
export function optionsText(options: WriterOptions | ConsumerProcessOptions): string {
  return JSON.stringify(options, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
}

/** Ends this process once whoever started it is gone. */
export function endWithParent(): void {
  process.stdin.on('end', () => process.exit(0)).resume()
}
