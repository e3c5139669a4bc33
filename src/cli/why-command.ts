import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import { commandOfJob } from '../model/job-id.ts'
import { bears, type Cause, causesOf, idsOf, timeOfId } from './causes.ts'
import { CliError } from './cli-error.ts'
import { exitCode } from './exit-code.ts'
import { localTime } from './format-time.ts'
import { type History, openHistory } from './history.ts'
import type { Invocation } from './invocation.ts'
import { type Output, toned } from './output.ts'
import { formatFields, formatTable } from './text-table.ts'
import { eventDocument, tellEvent, type ToldEvent, whatOf, whoOf } from './told-event.ts'

/** Clocks may have stepped between the making of an id and the record of its event. */
const clockSlackUs = 60_000_000n
const mostEvents = 100_000
/** How often new ids may turn up on the way to older events. */
const mostRounds = 8

/** `chronovisor why @P`: an event, what led to it, and who asked for it. */
export async function whyCommand(invocation: Invocation): Promise<number> {
  const [text = ''] = invocation.args
  const position = /^@?(\d{1,18})$/.exec(text)?.[1]
  if (position === undefined)
    throw new CliError(`Cannot explain "${text}": it must be the position of an event, like @182733`)
  await using history = await openHistory(invocation.config)
  const recorded = await history.event(BigInt(position))
  if (recorded === null)
    throw new CliError(`Cannot explain @${position}: the log ends at @${(await history.head()).position}`)
  const event = tellEvent(recorded)
  const causes = causesOf(event, await related(history, { ids: idsOf(event), before: recorded.position }))
  const { out } = invocation
  if (out.isJson) {
    out.document({
      event: eventDocument(event),
      causes: causes.map((cause) => ({ how: cause.how, ...eventDocument(cause.event) })),
    })
  } else explain(out, event, causes)
  return exitCode.found
}

/** `chronovisor trace ID`: everything that one request or command did. */
export async function traceCommand(invocation: Invocation): Promise<number> {
  const [text = ''] = invocation.args
  const id = commandOfJob(text.toLowerCase())
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) {
    throw new CliError(
      `Cannot trace "${text}": it must be the id of a request, command, job or event, as log --json shows it`,
    )
  }
  await using history = await openHistory(invocation.config)
  const events = await bearing(history, { ids: new Set([id]), before: null })
  const { out } = invocation
  if (out.isJson) out.document(events.map(eventDocument))
  else if (events.length > 0) out.lines(eventTable(events))
  return events.length === 0 ? exitCode.nothing : exitCode.found
}

/** Events before a position that share an id with those that led to it, ids of causes found on the way included. */
async function related(
  history: History,
  wish: { readonly ids: readonly string[]; readonly before: bigint },
): Promise<readonly ToldEvent[]> {
  const ids = new Set(wish.ids)
  for (let round = 0; ; round++) {
    const events = await bearing(history, { ids, before: wish.before })
    const found = events.flatMap(idsOf).filter((id) => !ids.has(id))
    if (found.length === 0 || round === mostRounds) return events
    for (const id of found) ids.add(id)
  }
}

async function bearing(
  history: History,
  wish: { readonly ids: ReadonlySet<string>; readonly before: bigint | null },
): Promise<readonly ToldEvent[]> {
  const events: ToldEvent[] = []
  for await (const recorded of history.log.readAll({ from: await searchFrom(history, wish.ids) })) {
    if (wish.before !== null && recorded.position >= wish.before) break
    const event = tellEvent(recorded)
    if (bears(event, wish.ids)) events.push(event)
    if (events.length === mostEvents) break
  }
  return events
}

/** No event carries an id before it was made; an id without a time may be anywhere. */
async function searchFrom(history: History, ids: ReadonlySet<string>): Promise<bigint> {
  let first: bigint | null = null
  for (const id of ids) {
    const timeUs = timeOfId(id)
    if (timeUs === null) return 0n
    if (first === null || timeUs < first) first = timeUs
  }
  return (await history.log.positionAt((first ?? 0n) - clockSlackUs)) + 1n
}

function explain(out: Output, event: ToldEvent, causes: readonly Cause[]): void {
  const { recorded, meta } = event
  const root = causes.at(-1)?.event ?? event
  out.line(toned(out, 'heading', `@${recorded.position} ${recorded.type}`))
  out.lines(
    formatFields([
      ['what', whatOf(event)],
      ['when', localTime(recorded.recordedAtUs)],
      ['stream', `${recorded.stream}, revision ${recorded.revision}`],
      ['who', `${whoOf(event)}, gid ${meta.actor.gid}, through ${meta.actor.address} (${meta.actor.authentication})`],
      ['procedure', meta.procedure],
      ['reason', meta.reason ?? root.meta.reason ?? 'none given'],
      ['capabilities', meta.capsId ?? 'none used'],
      ['command', meta.commandId],
      ['request', meta.correlationId],
    ]),
  )
  out.line('')
  if (causes.length === 0) {
    out.line(`Nothing in the log led to it: ${whoOf(event)} asked for it by ${meta.procedure}.`)
    return
  }
  out.line(toned(out, 'heading', 'What led to it, nearest first'))
  out.lines(causes.map((cause) => causeLine(cause)))
  out.line(
    `At the beginning stands ${whoOf(root)} by ${root.meta.procedure}${root.meta.reason === null ? '' : `: ${root.meta.reason}`}.`,
  )
}

function causeLine({ event, how }: Cause): string {
  const { recorded } = event
  return `  @${recorded.position}  ${localTime(recorded.recordedAtUs)}  ${recorded.type}  ${whatOf(event)}  (${how}; ${whoOf(event)})`
}

function eventTable(events: readonly ToldEvent[]): readonly string[] {
  const columns = [
    { title: 'POSITION', align: 'right' },
    { title: 'TIME' },
    { title: 'WHO' },
    { title: 'EVENT' },
    { title: 'WHAT' },
  ] as const
  const row = (event: ToldEvent): readonly string[] => cellsOf(event, event.recorded)
  return formatTable(columns, events.map(row))
}

function cellsOf(event: ToldEvent, { position, recordedAtUs, type }: RecordedEvent): readonly string[] {
  return [`@${position}`, localTime(recordedAtUs), whoOf(event), type, whatOf(event)]
}
