import * as v from 'valibot'
import { controlProcedures } from '../protocol/control-procedures.ts'
import { ControlClient } from './control-client.ts'
import { type DaemonFile, isRunning } from './daemon-file.ts'
import type { Invocation } from './invocation.ts'

const count = v.pipe(
  v.string(),
  v.regex(/^-?\d+$/),
  v.transform((text) => BigInt(text)),
)

const reportSchema = v.object({
  unavailable: v.nullable(v.string()),
  position: count,
  commitNo: count,
  recordedAtUs: count,
  epoch: v.number(),
  queued: v.object({ count: v.number(), bytes: v.number() }),
  subscriptions: v.object({ count: v.number(), lagEvents: count }),
  rolesProblem: v.nullable(v.string()),
  projections: v.array(
    v.object({ name: v.string(), live: v.boolean(), position: count, lagEvents: count, deadLetters: v.number() }),
  ),
})

/** What a running daemon says of its log: since when it runs, and how the log is as its writer sees it. */
export interface WriterStatus {
  readonly uptimeMs: bigint
  readonly log: v.InferOutput<typeof reportSchema>
}

/** Asks the daemon; an error in words where it does not answer. */
export async function askWriter(
  daemon: DaemonFile,
  config: Invocation['config'],
): Promise<WriterStatus | { readonly error: string }> {
  if (!isRunning(daemon)) return { error: `process ${daemon.pid} has ended` }
  try {
    using client = await ControlClient.open(config)
    const { uptimeMs } = await client.call(controlProcedures.daemonStatus, {}, { quick: true })
    const { report } = await client.call(controlProcedures.logStatus, {}, { quick: true })
    return { uptimeMs, log: v.parse(v.pipe(v.string(), v.parseJson(), reportSchema), report) }
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) }
  }
}
