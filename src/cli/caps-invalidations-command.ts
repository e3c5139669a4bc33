import * as v from 'valibot'
import { decodeFact, type FactOf } from '../events/catalogue.ts'
import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import { exitCode } from './exit-code.ts'
import { localTime, utcTime } from './format-time.ts'
import { type History, openHistory } from './history.ts'
import type { Invocation } from './invocation.ts'
import { parseMoment } from './moment.ts'
import { type Output, toned } from './output.ts'
import { formatFields } from './text-table.ts'

const mostInvalidations = 10_000
const optionsSchema = v.object({ since: v.optional(v.string()) })

/** An invalidation with the domains that stood on the dead version at that moment. */
interface ShownInvalidation {
  readonly event: RecordedEvent
  readonly data: FactOf<'EmulatorInvalidated'>['data']
  readonly defined: readonly string[]
  readonly running: readonly string[]
}

/** `chronovisor caps invalidations`: which capability versions died, why, and which domains stood on them. */
export async function capsInvalidationsCommand(invocation: Invocation): Promise<number> {
  const { since } = v.parse(optionsSchema, invocation.options)
  const { out } = invocation
  await using history = await openHistory(invocation.config)
  const first = since === undefined ? 0n : await history.firstSince(parseMoment(since, invocation.nowUs()))
  const shown: ShownInvalidation[] = []
  for (const position of await positionsSince(history, first)) {
    const one = await invalidationAt(history, position)
    if (one !== null) shown.push(one)
  }
  if (out.isJson) out.document(shown.map(documentOf))
  else shown.forEach((one, at) => show(out, one, at === 0))
  return shown.length === 0 ? exitCode.nothing : exitCode.found
}

/** A version of an emulator's row in state `invalidated` begins with the event that invalidated it. */
async function positionsSince(history: History, first: bigint): Promise<readonly bigint[]> {
  const rows = await history.rows<{ from_position: bigint }>(
    `select from_position from emulators where state = 'invalidated' and from_position >= $1::int8
      order by from_position limit ${mostInvalidations}`,
    [first],
  )
  return rows.map((row) => row.from_position)
}

async function invalidationAt(history: History, position: bigint): Promise<ShownInvalidation | null> {
  const event = await history.event(position)
  if (event === null) return null
  const fact = decodeFact(event.type, event)
  if (fact.type !== 'EmulatorInvalidated') return null
  const names = async (table: 'domain_definitions' | 'domain_states'): Promise<readonly string[]> => {
    const rows = await history.rows<{ name: string }>(
      `select name from ${table} where caps_id = $1::text and from_position <= $2::int8
        and (to_position is null or to_position > $2::int8) order by name`,
      [fact.data.capsId, position],
    )
    return rows.map((row) => row.name)
  }
  return { event, data: fact.data, defined: await names('domain_definitions'), running: await names('domain_states') }
}

function show(out: Output, { event, data, defined, running }: ShownInvalidation, isFirst: boolean): void {
  if (!isFirst) out.line('')
  out.line(
    toned(out, 'heading', `@${event.position}  ${localTime(event.recordedAtUs)}  ${data.binary}  ${data.reason}`),
  )
  out.lines(
    formatFields([
      ['  was', data.was],
      ['  is', data.is],
      ['  detected by', data.detectedBy],
      ['  version', data.capsId],
      ['  defined against it', defined.length === 0 ? 'no domain' : defined.join(', ')],
      ['  running with it', running.length === 0 ? 'no domain' : running.join(', ')],
    ]),
  )
}

function documentOf({ event, data, defined, running }: ShownInvalidation): object {
  return {
    position: event.position,
    at: utcTime(event.recordedAtUs),
    ...data,
    definedDomains: defined,
    runningDomains: running,
  }
}
