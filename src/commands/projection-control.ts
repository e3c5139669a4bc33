import { newFact } from '../events/catalogue.ts'
import { projectionStream } from '../events/stream-names.ts'
import type { ServingSwitched } from '../readmodel/live-switch.ts'
import type { ProjectionStatus } from '../readmodel/projection-status.ts'
import { ReadModelRefusal } from '../readmodel/read-model-refusal.ts'
import type { ReadModels } from '../readmodel/read-models.ts'
import { Fault } from '../util/fault.ts'
import type { Caller } from './caller.ts'
import type { Host } from './host.ts'
import { type Context, record } from './record.ts'
import { runCommand } from './run-command.ts'

/** What became of a wish that a stream be followed again: an error, and from which event on it is left out, where it could not be. */
export interface ResumedStream {
  readonly stream: string
  readonly followed: boolean
  /** Position of the event that could not be taken; that of the wish where all were. */
  readonly position: bigint
  readonly attempts: number
  readonly error: string | null
}

/** What operators may have the read models do. */
export interface ProjectionControl {
  status(): Promise<readonly ProjectionStatus[]>
  /** Tries again to follow a quarantined stream, or with null all of a projection. */
  retry(
    caller: Caller,
    wanted: { readonly projection: string; readonly stream: string | null },
  ): Promise<ResumedStream[]>
  /** Leaves out the event that could not be taken, and follows the stream from the next. */
  skip(caller: Caller, wanted: { readonly projection: string; readonly stream: string }): Promise<ResumedStream>
  /** Puts a build that is ready in place of the tables that serve. */
  switchTo(caller: Caller, wanted: { readonly projection: string }): Promise<ServingSwitched>
}

const maxTries = 20
const backgroundMs = 30_000

/** The control of read models; every wish is recorded with who had it and why. */
export function projectionControl(host: Host, models: ReadModels): ProjectionControl {
  return {
    status: async () => await models.status(),
    retry: async (caller, { projection, stream }) =>
      await runCommand(host, { caller, uuid: null, subject: projection }, async ({ context }) => {
        await refusing(async () => models.projection(projection))
        const streams = stream === null ? quarantined(models, projection) : [stream]
        const results: ResumedStream[] = []
        for (const each of streams) {
          results.push(
            await resume(host, models, { context, projection, stream: each, type: 'ProjectionStreamRetried' }),
          )
        }
        return results
      }),
    skip: async (caller, { projection, stream }) =>
      await runCommand(
        host,
        { caller, uuid: null, subject: projection },
        async ({ context }) =>
          await resume(host, models, { context, projection, stream, type: 'ProjectionEventSkipped' }),
      ),
    switchTo: async (caller, { projection }) =>
      await runCommand(host, { caller, uuid: null, subject: projection }, async ({ context }) => {
        const switched = await refusing(() => models.switchTo(projection))
        const { version, position, lockedMs } = switched
        const data = { projection, version, position, lockedMs: Math.round(lockedMs * 100) / 100 }
        await record(host, context, {
          kind: 'fact',
          decide: () => [{ stream: projectionStream(projection), facts: [newFact('ProjectionRebuilt', data)] }],
        })
        return switched
      }),
  }
}

interface Wish {
  readonly context: Context
  readonly projection: string
  readonly stream: string
  readonly type: 'ProjectionStreamRetried' | 'ProjectionEventSkipped'
}

async function resume(host: Host, models: ReadModels, wish: Wish): Promise<ResumedStream> {
  const { projection, stream } = wish
  const { version } = (await refusing(async () => models.projection(projection))).projection
  for (let tries = 0; tries < maxTries; tries += 1) {
    using prepared = await refusing(() => models.prepareResumption(projection, stream))
    const { position, error } = prepared.letter
    const data = { projection, version, stream, position, error }
    const { events, lastPosition } = await record(host, wish.context, {
      kind: 'fact', // where the database refuses what the events change, the attempt is recorded all the same
      decide: (turn) =>
        prepared.isCurrent(turn) ? [{ stream: projectionStream(projection), facts: [newFact(wish.type, data)] }] : [],
    })
    if (events.length === 0) continue
    const left = await refusing(() => models.letterAfter(lastPosition, { projection, stream, limitMs: backgroundMs }))
    if (left === null) return { stream, followed: true, position: lastPosition, attempts: 0, error: null }
    return { stream, followed: false, position: left.position, attempts: left.attempts, error: left.error }
  }
  throw new Fault(
    'operation_failed',
    `Cannot have projection "${projection}" follow stream "${stream}" again: the stream grew in each of ${maxTries} attempts`,
  )
}

function quarantined(models: ReadModels, projection: string): readonly string[] {
  return models.deadLetters.filter((letter) => letter.projection === projection).map(({ stream }) => stream)
}

/** What the read models refuse is the caller's to mend; that the database is away is not. */
async function refusing<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    if (!(error instanceof ReadModelRefusal)) throw error
    throw new Fault('operation_invalid', error.message, { cause: error })
  }
}
