import * as v from 'valibot'
import { controlProcedures } from '../protocol/control-procedures.ts'
import type { ProjectionStatus } from '../readmodel/projection-status.ts'
import { CliError } from './cli-error.ts'
import { ControlClient } from './control-client.ts'
import { exitCode } from './exit-code.ts'
import { byteSize, duration, utcTime } from './format-time.ts'
import { type History, openHistory } from './history.ts'
import type { Invocation } from './invocation.ts'
import { type LogSizes, readLogSizes } from './log-sizes.ts'
import { type Output, toned } from './output.ts'
import { projectionStatus } from './projection-status.ts'
import { type Column, formatTable, shorten } from './text-table.ts'

interface Letter {
  readonly projection: string
  readonly stream: string
  readonly position: bigint
  readonly attempts: number
  readonly lastTriedAtUs: bigint | null
  readonly error: string
}

const listedLetters = 100
const longestError = 120

/** `chronovisor projections`: how far each read model is, what it leaves out, what it and the log take. Ends with 3 on dead letters. */
export async function projectionsCommand(invocation: Invocation): Promise<number> {
  const { out, config } = invocation
  await using history = await openHistory(config)
  const projections = await projectionStatus(history, invocation)
  const letters = await readLetters(history)
  const log = await readLogSizes(history)
  if (out.isJson) {
    const deadLetters = letters.map(({ lastTriedAtUs, ...letter }) => ({
      ...letter,
      lastTriedAt: lastTriedAtUs === null ? null : utcTime(lastTriedAtUs),
    }))
    out.document({ projections, deadLetters, log })
  } else {
    show(out, { projections, letters, log })
  }
  return letters.length === 0 ? exitCode.found : exitCode.finding
}

/** `chronovisor projections retry`: has a projection try again to follow what it has quarantined. */
export async function projectionsRetryCommand(invocation: Invocation): Promise<number> {
  const { out, config, args } = invocation
  const [projection = '', stream] = args
  using client = await ControlClient.open(config, reasonOf(invocation))
  const { streams } = await client.call(controlProcedures.projectionRetry, { projection, stream: stream ?? null })
  if (out.isJson) out.document({ streams })
  else if (streams.length === 0) out.line(`Projection "${projection}" has no quarantined stream.`)
  for (const each of out.isJson ? [] : streams) out.line(described(each))
  if (streams.length === 0) return exitCode.nothing
  return streams.every(({ followed }) => followed) ? exitCode.found : exitCode.finding
}

/** `chronovisor projections skip`: has a projection leave out an event that it cannot take. */
export async function projectionsSkipCommand(invocation: Invocation): Promise<number> {
  const { out, config, args } = invocation
  const [projection = '', stream] = args
  if (stream === undefined) throw new CliError('Cannot skip: name the stream; `chronovisor projections` shows which')
  using client = await ControlClient.open(config, reasonOf(invocation))
  const skipped = await client.call(controlProcedures.projectionSkip, { projection, stream })
  if (out.isJson) out.document(skipped)
  else out.line(described(skipped))
  return skipped.followed ? exitCode.found : exitCode.finding
}

const reasonSchema = v.object({ reason: v.optional(v.string()) })

function reasonOf({ options }: Invocation): { readonly reason?: string } {
  const { reason } = v.parse(reasonSchema, options)
  return reason === undefined ? {} : { reason }
}

function described(each: {
  readonly stream: string
  readonly followed: boolean
  readonly position: bigint
  readonly attempts: number
  readonly error: string | null
}): string {
  if (each.followed) return `${each.stream} is followed again from @${each.position} on.`
  return `${each.stream} stops at @${each.position} (${each.attempts} attempts): ${each.error ?? ''}`
}

async function readLetters(history: History): Promise<readonly Letter[]> {
  return await history.rows<Letter & { readonly position: bigint }>(
    `select projection, stream, position, attempts, last_tried_at_us as "lastTriedAtUs", error
      from dead_letter order by projection, position limit $1::int4`,
    [listedLetters],
  )
}

function show(
  out: Output,
  shown: {
    readonly projections: readonly ProjectionStatus[]
    readonly letters: readonly Letter[]
    readonly log: LogSizes
  },
): void {
  const { projections, letters, log } = shown
  const right = (title: string): Column => ({ title, align: 'right' })
  table(out, {
    columns: [
      { title: 'READ MODEL' },
      right('VERSION'),
      { title: 'STATE' },
      right('POSITION'),
      right('BEHIND'),
      right('DEAD LETTERS'),
    ],
    rows: projections.map((each) => [
      each.name,
      String(each.version),
      stateOf(each),
      `@${each.position}`,
      each.lagEvents === 0n ? '-' : `${each.lagEvents} events, ${duration(BigInt(Math.round(each.lagSeconds * 1e6)))}`,
      String(each.deadLetters),
    ]),
  })
  out.line('')
  table(out, {
    columns: [{ title: 'TABLE' }, right('ROWS'), right('SIZE')],
    rows: projections.flatMap(({ tables }) =>
      tables.map(({ name, rows, sizeBytes }) => [name, String(rows), byteSize(sizeBytes)]),
    ),
  })
  out.line('')
  table(out, {
    columns: [{ title: 'STREAMS' }, right('EVENTS'), right('DATA')],
    rows: log.categories.map(({ category, events, dataBytes }) => [
      `${category}-…`,
      String(events),
      byteSize(dataBytes),
    ]),
  })
  out.line(
    `The log takes ${byteSize(log.diskBytes)} on disk${log.estimated ? '; events and data are estimated from a sample' : ''}.`,
  )
  for (const { projection, stream, position, attempts, error } of letters) {
    const text = `${projection} does not follow ${stream} from @${position} on (${attempts} attempts): ${shorten(error, longestError)}`
    out.line(toned(out, 'bad', text))
  }
}

function stateOf({ state, activity, build }: ProjectionStatus): string {
  const beside =
    build === null
      ? ''
      : `, build of version ${build.version} ${build.state === 'ready' ? 'ready' : `at @${build.position}`}`
  return `${activity ?? state}${beside}`
}

function table(
  out: Output,
  { columns, rows }: { readonly columns: readonly Column[]; readonly rows: readonly (readonly string[])[] },
): void {
  const [titles = '', ...lines] = formatTable(columns, rows)
  out.line(toned(out, 'heading', titles))
  out.lines(lines)
}
