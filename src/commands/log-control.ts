import { newFact } from '../events/catalogue.ts'
import { whyNotErasable } from '../events/erasable.ts'
import { nodeStream } from '../events/stream-names.ts'
import { LogCorruptError } from '../eventstore/append-errors.ts'
import type { CheckpointKeeper } from '../eventstore/checkpoint-keeper.ts'
import type { ErasurePlan } from '../eventstore/erasures.ts'
import type { Amount, SubscriptionStats } from '../eventstore/event-store-stats.ts'
import type { EventStore } from '../eventstore/event-store.ts'
import type { ProjectionProgress } from '../readmodel/projection-progress.ts'
import type { ReadModels } from '../readmodel/read-models.ts'
import { Fault } from '../util/fault.ts'
import type { Caller } from './caller.ts'
import type { Host } from './host.ts'
import { record } from './record.ts'
import { runCommand } from './run-command.ts'

/** What operators may have done to the log itself. */
export interface LogControl {
  /** How it is, out of memory. */
  status(): LogStatus
  /** Signs what the log is now; with the key that verifies it. */
  signCheckpoint(): Promise<{ readonly note: string; readonly key: string }>
  /** Takes the data of an event away for good; `position` in the answer is that of the event that says so. */
  erasePayload(caller: Caller, wanted: { readonly position: bigint; readonly reason: string }): Promise<ErasedEvent>
}

/** How the log is, as its writer sees it. */
export interface LogStatus {
  /** Why nothing can be appended; null where it can. */
  readonly unavailable: string | null
  readonly position: bigint
  readonly commitNo: bigint
  readonly recordedAtUs: bigint
  readonly epoch: number
  /** Appends that wait for their turn. */
  readonly queued: Amount
  readonly subscriptions: SubscriptionStats
  readonly projections: readonly ProjectionProgress[]
  /** Why the writer has more rights in the database than it needs; null where it has not. */
  readonly rolesProblem: string | null
}

/** What was erased. */
export interface ErasedEvent {
  readonly stream: string
  readonly type: string
  readonly dataSha256: string
  /** Big texts that went with it. */
  readonly texts: number
  readonly position: bigint
}

/** The parts of the open log that the control works on; without `checkpoints` nothing can be signed. */
export interface ControlledLog {
  readonly store: Pick<EventStore, 'planErasure' | 'stats' | 'rolesProblem'>
  readonly models: Pick<ReadModels, 'progress'>
  readonly checkpoints: Pick<CheckpointKeeper, 'sign' | 'verifierKey'> | null
}

/** The control of the log; every erasure is recorded with who had it done and why. */
export function logControl(host: Host, { store, models, checkpoints }: ControlledLog): LogControl {
  return {
    status() {
      const { head, unavailable, queued, subscriptions } = store.stats
      const { position, commitNo, recordedAtUs, epoch } = head
      return {
        unavailable,
        position,
        commitNo,
        recordedAtUs,
        epoch,
        queued,
        subscriptions,
        projections: models.progress(),
        rolesProblem: store.rolesProblem,
      }
    },
    async signCheckpoint() {
      if (checkpoints === null) {
        throw new Fault(
          'operation_failed',
          "Cannot sign the log: its signing key cannot be used, see the daemon's own log",
        )
      }
      try {
        return { note: await checkpoints.sign(), key: checkpoints.verifierKey }
      } catch (error) {
        if (!(error instanceof LogCorruptError)) throw error
        throw new Fault('operation_failed', error.message, { cause: error })
      }
    },
    erasePayload: async (caller, { position, reason }) =>
      await runCommand(host, { caller, uuid: null, subject: `@${position}` }, async ({ context }) => {
        if (reason.trim() === '')
          throw new Fault('invalid_arg', `Cannot erase the data of @${position}: a reason must be given`)
        const plan = await erasable(store, position)
        const data = { ...plan, texts: [...plan.texts], reason }
        const { lastPosition } = await record(host, context, {
          kind: 'intent',
          decide: () => [{ stream: nodeStream(host.hostId), facts: [newFact('PayloadErased', data)] }],
        })
        const { stream, type, dataSha256, texts } = plan
        return { stream, type, dataSha256, texts: texts.length, position: lastPosition }
      }),
  }
}

/** The plan of an erasure that may be made. Throws a Fault that says why it may not. */
async function erasable(store: ControlledLog['store'], position: bigint): Promise<ErasurePlan> {
  const plan = position < 0n ? null : await store.planErasure(position)
  if (plan === null) {
    throw new Fault(
      'invalid_arg',
      `Cannot erase the data of @${position}: there is no such event, or it was erased already`,
    )
  }
  const why = whyNotErasable(plan.stream, plan.type)
  if (why === null) return plan
  throw new Fault('operation_invalid', `Cannot erase the data of @${position} on stream "${plan.stream}": ${why}`)
}
