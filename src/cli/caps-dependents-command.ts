import { exitCode } from './exit-code.ts'
import { findCapabilities } from './find-capabilities.ts'
import { openHistory } from './history.ts'
import type { Invocation } from './invocation.ts'
import { toned } from './output.ts'
import { formatTable } from './text-table.ts'

interface Dependent extends Record<string, unknown> {
  readonly how: 'defined' | 'running'
  readonly name: string
  readonly uuid: string
  readonly from_position: bigint
  readonly to_position: bigint | null
}

/** `chronovisor caps dependents`: which domains were defined against a capability version or ran with it, and since when until when. */
export async function capsDependentsCommand({ args, out, config }: Invocation): Promise<number> {
  await using history = await openHistory(config)
  const { caps_id: capsId } = await findCapabilities(history, args[0] ?? '')
  const select = (how: Dependent['how'], table: string): string =>
    `select '${how}' as how, name, domain_uuid::text as uuid, min(from_position) as from_position,
        case when bool_or(to_position is null) then null else max(to_position) end as to_position
      from ${table} where caps_id = $1::text group by name, domain_uuid`
  const found = await history.rows<Dependent>(
    `${select('defined', 'domain_definitions')} union all ${select('running', 'domain_states')} order by name, how, uuid`,
    [capsId],
  )
  if (out.isJson) {
    out.document(
      found.map(({ how, name, uuid, from_position: from, to_position: until }) => ({
        ...{ capsId, how, name, uuid },
        sincePosition: from,
        untilPosition: until,
      })),
    )
  } else if (found.length > 0) {
    const columns = ['DOMAIN', 'UUID', 'HOW', 'SINCE', 'UNTIL'].map((title) => ({ title }))
    const rows = found.map((one) => [
      ...[one.name, one.uuid, one.how, `@${one.from_position}`],
      one.to_position === null ? 'still' : `@${one.to_position}`,
    ])
    const [titles = '', ...lines] = formatTable(columns, rows)
    out.lines([toned(out, 'heading', titles), ...lines])
  }
  return found.length === 0 ? exitCode.nothing : exitCode.found
}
