import type { ParticipantContext } from '../eventstore/commit-participant.ts'
import type { BackgroundProjection } from './background-projection.ts'
import { ownRetired, switchBuild, untilUnlocked } from './build-switch.ts'
import { readHandledEvents } from './handled-events.ts'
import { requireBuild, type ServingSwitched } from './live-switch.ts'
import { PresumedLetters } from './presumed-letters.ts'
import { buildSchema, followBuild } from './projection-build.ts'
import { readDeadLetters } from './projection-book.ts'
import type { Decode } from './projection-run.ts'
import { readAllColumns } from './projection-tables.ts'
import type { Projection } from './projection.ts'
import { readResumptions } from './resumption.ts'
import { dropScratch, ownSchema } from './scratch-schema.ts'

const batchEvents = 1_000
const maxRows = 50_000
const lockTimeoutMs = 50

/**
 * Puts a ready build of a background projection in place of its tables, between two of its batches: the build is brought to where the
 * tables are, so that none ever goes back, then tables and position change in one transaction.
 */
export async function switchBackground(work: {
  readonly projection: Projection
  readonly sql: string
  readonly decode: Decode
  readonly context: ParticipantContext
  readonly background: BackgroundProjection
  readonly limitMs: number
}): Promise<ServingSwitched> {
  const { projection, decode, context, background, limitMs } = work
  const { pool, reader, signal } = context
  await using schema = await ownSchema(pool, { name: buildSchema(projection), existing: true })
  const build = await requireBuild(schema.client, work)
  const columns = await readAllColumns(schema.client, { schema: schema.name, projections: [projection] })
  const target = { pool, schema: schema.name, columns }
  const presumed = new PresumedLetters(background.deadLetters.values(), await readResumptions(reader, projection))
  const followed = followBuild({ projection, decode, target, reader, presumed, maxRows })
  followed.run.letters.replace(projection.name, await readDeadLetters(schema.client, [projection], target))
  let position = build.position
  const reading = { projections: [projection], from: position + 1n, to: background.position, batchEvents, signal }
  for await (const batch of readHandledEvents(reader, reading)) {
    await followed.taker.take(batch, position)
    position = batch.through
  }
  await using _retired = await ownRetired(pool, projection)
  const swap = () => switchBuild(schema.client, { projection, after: 'following', lockTimeoutMs, misfits: 'refuse' })
  const switched = await untilUnlocked(swap, { pool, projection, limitMs, signal })
  await dropScratch(schema.client, schema.name)
  return { ...switched, heldMs: 0 }
}
