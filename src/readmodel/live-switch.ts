import { setTimeout as sleep } from 'node:timers/promises'
import type { ParticipantContext } from '../eventstore/commit-participant.ts'
import { postgresFailure } from '../eventstore/postgres-failure.ts'
import { type BuildSwitched, ownRetired, readBuilds, switchBuild, untilUnlocked } from './build-switch.ts'
import { readHandledEvents } from './handled-events.ts'
import { PresumedLetters } from './presumed-letters.ts'
import { buildSchema, type FollowedBuild, followBuild } from './projection-build.ts'
import { readDeadLetters } from './projection-book.ts'
import { projectionCode } from './projection-code.ts'
import type { Decode, ProjectionRun } from './projection-run.ts'
import { loadRowsInPages, readAllColumns } from './projection-tables.ts'
import type { Projection } from './projection.ts'
import { ReadModelRefusal } from './read-model-refusal.ts'
import { readResumptions } from './resumption.ts'
import { dropScratch, ownSchema } from './scratch-schema.ts'
import { withClient } from './with-client.ts'

/** A switch of a projection that serves, and how long appends had to wait for it. */
export interface ServingSwitched extends BuildSwitched {
  readonly heldMs: number
}

/** What serves, and what is to take its place. */
export interface LiveSwitch {
  readonly projection: Projection
  readonly sql: string
  readonly decode: Decode
  readonly context: ParticipantContext
  /** The rows in memory. */
  readonly live: ProjectionRun
  readonly position: () => bigint
  /** Longest wait for readers that hold the tables. */
  readonly limitMs: number
}

const batchEvents = 1_000
const nearEvents = 20n
const maxRounds = 1_000
// Appends and readers wait so long at most, and then once more a little later.
const lockTimeoutMs = 15

/**
 * Puts a ready build of a live projection in place while it serves: its rows are loaded beside those in memory and kept up with the log;
 * then, in a turn of the writer, what is left is taken in and rows and tables change places together.
 */
export async function switchLive(work: LiveSwitch): Promise<ServingSwitched> {
  const { projection, context, live, limitMs } = work
  const { pool, signal } = context
  await using schema = await ownSchema(pool, { name: buildSchema(projection), existing: true })
  const build = await requireBuild(schema.client, work)
  const columns = await readAllColumns(schema.client, { schema: schema.name, projections: [projection] })
  const target = { pool, schema: schema.name, columns }
  const presumed = new PresumedLetters(
    [...live.deadLetters.values()].filter((letter) => letter.projection === projection.name),
    await readResumptions(context.reader, projection),
  )
  const followed = followBuild({ ...work, target, reader: context.reader, presumed })
  for (const each of columns.values()) {
    const into = followed.run.overlay(each.table).base
    await loadRowsInPages(schema.client, { schema: schema.name, columns: each, into })
  }
  followed.run.letters.replace(projection.name, await readDeadLetters(schema.client, [projection], target))
  const kept = new KeptUp(work, followed, build.position)
  await using _retired = await ownRetired(pool, projection)
  const swap = async () => {
    await kept.comeNear()
    return context.exclusively(async () => {
      const startMs = performance.now()
      await kept.takeRest()
      const switched = await certainly(work, () =>
        switchBuild(schema.client, { projection, after: 'live', lockTimeoutMs, misfits: 'refuse' }),
      )
      for (const table of columns.keys()) live.overlay(table).base.takeOver(followed.run.overlay(table).base)
      live.letters.replace(projection.name, followed.run.deadLetters.values())
      const heldMs = performance.now() - startMs
      return { droppedViews: [], lockedMs: heldMs, ...switched, ...kept.reached, heldMs }
    })
  }
  const switched = await untilUnlocked(swap, { pool, projection, limitMs, signal })
  await dropScratch(schema.client, schema.name)
  return switched
}

/** The build of a projection that is ready and was made by the very code that runs here; throws where there is none. */
export async function requireBuild(
  client: Parameters<typeof readBuilds>[0],
  { projection, sql }: { readonly projection: Projection; readonly sql: string },
) {
  const build = (await readBuilds(client)).find(({ name }) => name === projection.name)
  const cannot = `Cannot switch projection "${projection.name}"`
  if (build === undefined) throw new ReadModelRefusal(`${cannot}: there is no build of it`)
  if (build.state !== 'ready') throw new ReadModelRefusal(`${cannot}: its build is not finished`)
  if (build.version !== projection.version || build.code !== projectionCode(projection, sql)) {
    throw new ReadModelRefusal(
      `${cannot}: the build is of version ${build.version} of another program, this one serves version ${projection.version}; a restart with that program switches to it`,
    )
  }
  return build
}

class KeptUp {
  readonly #work: LiveSwitch
  readonly #followed: FollowedBuild
  #position: bigint

  constructor(work: LiveSwitch, followed: FollowedBuild, position: bigint) {
    this.#work = work
    this.#followed = followed
    this.#position = position
  }

  get reached() {
    const { name, version } = this.#work.projection
    return { projection: name, version, position: this.#position }
  }

  /** Follows until only a few events are left. */
  async comeNear(): Promise<void> {
    for (let round = 0; this.#work.position() - this.#position > nearEvents; round += 1) {
      if (round === maxRounds) {
        throw new ReadModelRefusal(
          `Cannot switch projection "${this.#work.projection.name}": the log grows faster than the build`,
        )
      }
      await this.takeRest()
    }
    await this.takeRest() // so that next to nothing is left for the writer's turn
  }

  async takeRest(): Promise<void> {
    const { projection, context, position } = this.#work
    const reading = { projections: [projection], from: this.#position + 1n, to: position(), batchEvents }
    for await (const batch of readHandledEvents(context.reader, reading)) {
      await this.#followed.taker.take(batch, this.#position)
      this.#position = batch.through
    }
  }
}

const askAgainMs = 100
const certaintyMs = 30_000

/** Where the connection breaks in the middle, the database is asked what became of it: rows in memory and in tables must not part. */
async function certainly<T extends object>(
  { context, projection }: LiveSwitch,
  action: () => Promise<T>,
): Promise<T | Record<string, never>> {
  try {
    return await action()
  } catch (error) {
    if (postgresFailure(error) !== 'lost') throw error
    const endMs = performance.now() + certaintyMs
    for (;;) {
      try {
        const builds = await withClient(context.pool, readBuilds)
        if (builds.some(({ name }) => name === projection.name)) throw error
        return {}
      } catch (again) {
        if (again === error || performance.now() > endMs || postgresFailure(again) !== 'lost') throw again
      }
      await sleep(askAgainMs)
    }
  }
}
