import type { ParticipantContext } from '../eventstore/commit-participant.ts'
import { ownRetired, readBuilds, switchBuild, untilUnlocked } from './build-switch.ts'
import { type BuildProgress, buildProjection } from './projection-build.ts'
import { createEmpty, isSameProjection, type ProjectionRow, readProjections } from './projection-book.ts'
import { projectionCode } from './projection-code.ts'
import type { Decode } from './projection-run.ts'
import type { Projection } from './projection.ts'
import { dropScratch, sweepScratch } from './scratch-schema.ts'
import { withClient } from './with-client.ts'

/** What projections are opened with. */
export interface OpeningProjections {
  readonly context: ParticipantContext
  readonly sql: ReadonlyMap<Projection, string>
  readonly decode: Decode
  readonly nowUs: () => bigint
  readonly onProgress?: (progress: BuildProgress) => void
  /** Hears what an operator may want to know, and need not act on. */
  readonly onNote: (text: string) => void
}

/** So many events are caught up with sooner than a build is made. */
const buildEvents = 20_000n
// Nothing is served yet, so it may take a while; a reader that never ends must not keep the daemon down without a word.
const openSwitchMs = 60_000
const lockTimeoutMs = 1_000

/**
 * Sees to it that the tables of every live projection are this program's: leftovers are swept, a build that was prepared is switched to,
 * another version's tables are built anew. Those of background projections are made where there are none, and otherwise left as they are,
 * unless a build of them is ready.
 */
export async function openProjections(
  projections: readonly Projection[],
  opening: OpeningProjections,
): Promise<ReadonlyMap<Projection, bigint>> {
  const { context } = opening
  const { rows, ready } = await withClient(context.pool, async (client) => {
    for (const name of await sweepScratch(client, { nowUs: opening.nowUs() })) {
      opening.onNote(`Dropped schema "${name}", which a process that has ended left behind`)
    }
    return { rows: await readProjections(client), ready: await readyBuilds(client, projections, opening) }
  })
  const positions = new Map<Projection, bigint>()
  for (const projection of projections) {
    const row = rows.find(({ name }) => name === projection.name)
    if (ready.has(projection)) await place(projection, opening)
    else if (row !== undefined && isSameProjection(row, projection)) {
      positions.set(projection, row.position ?? -1n)
      continue
    } else await makeTables(projection, row, opening)
    const now = await withClient(context.pool, readProjections)
    positions.set(projection, now.find(({ name }) => name === projection.name)?.position ?? -1n)
  }
  return positions
}

/** Builds the tables of a projection and puts them in place; nothing in this process reads its old ones. */
export async function rebuildUnserved(
  projection: Projection,
  opening: OpeningProjections & { readonly signal?: AbortSignal },
): Promise<void> {
  const { context, sql, decode, nowUs, onProgress, signal = context.signal } = opening
  await buildProjection({
    projection,
    sql: sql.get(projection) ?? '',
    ...{ pool: context.pool, reader: context.reader, decode, nowUs, signal },
    ...(onProgress === undefined ? {} : { onProgress }),
  })
  await place(projection, opening)
}

async function makeTables(
  projection: Projection,
  row: ProjectionRow | undefined,
  opening: OpeningProjections,
): Promise<void> {
  const { context, sql } = opening
  if (row === undefined && (!projection.live || context.head.position < buildEvents)) {
    await withClient(context.pool, (client) => createEmpty(client, projection, { sql: sql.get(projection) ?? '' }))
  } else if (projection.live) {
    await rebuildUnserved(projection, opening)
  }
}

/** Which builds are finished and this program's; others of the same or an earlier version are discarded. */
async function readyBuilds(
  client: Parameters<typeof dropScratch>[0],
  projections: readonly Projection[],
  { sql, onNote }: OpeningProjections,
): Promise<ReadonlySet<Projection>> {
  const ready = new Set<Projection>()
  for (const build of await readBuilds(client)) {
    if (build.state !== 'ready') continue
    const projection = projections.find(({ name }) => name === build.name)
    const what = `the build of projection "${build.name}", version ${build.version}, up to position ${build.position}`
    if (projection !== undefined && build.version > projection.version) {
      onNote(
        `Kept ${what}: it is for a program that serves that version, this one serves version ${projection.version}`,
      )
    } else if (projection === undefined || build.code !== projectionCode(projection, sql.get(projection) ?? '')) {
      await dropScratch(client, `build_${build.name}`)
      onNote(`Discarded ${what}: it was made by other code than this program's`)
    } else {
      ready.add(projection)
      onNote(`Switching to ${what}`)
    }
  }
  return ready
}

async function place(projection: Projection, { context, onNote }: OpeningProjections): Promise<void> {
  const { pool, signal } = context
  await using _retired = await ownRetired(pool, projection)
  const after = projection.live ? 'behind' : 'following'
  const swap = () =>
    withClient(pool, (client) => switchBuild(client, { projection, after, lockTimeoutMs, misfits: 'drop' }))
  const { droppedViews } = await untilUnlocked(swap, { pool, projection, limitMs: openSwitchMs, signal })
  for (const view of droppedViews) {
    onNote(`Dropped a view that does not fit the new tables of projection "${projection.name}": ${view}`)
  }
  await withClient(pool, (client) => dropScratch(client, `build_${projection.name}`))
}
