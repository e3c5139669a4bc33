import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { formatDomain } from '../conf/format-domain.ts'
import { type LiveLayer, withLive } from '../conf/live-def.ts'
import { parseDomain } from '../conf/parse-domain.ts'
import { microsecondsOf } from './format-time.ts'
import type { History } from './history.ts'

/** A text of a domain at a position, and who put it there. */
export interface Definition {
  readonly xml: string
  readonly sha256: string
  readonly fromPosition: bigint
  readonly fromUs: bigint
}

interface Since {
  readonly from_position: bigint
  readonly valid_from: string
}

interface RunRow extends Since {
  readonly [column: string]: unknown
  readonly domain_id: number
  readonly live_definition_sha256: string
  readonly terminals: string
  readonly vnc_ports: string
}

interface LayerRow extends Since {
  readonly [column: string]: unknown
  readonly disk: string
  readonly layer: number
  readonly path: string
  readonly format: string
}

/** A condition on temporal rows: those of position $2. */
export const validThen = 'from_position <= $2::int8 and (to_position is null or to_position > $2::int8)'

const terminalsSchema = v.record(v.string(), v.string())
const portsSchema = v.array(v.number())

/**
 * What a client was shown of a running domain at a position: the definition that it was started with, and over it its
 * chains, ports and terminals of that position. Null while it was shut off.
 */
export async function liveDefinitionAt(
  history: History,
  { uuid, position }: { readonly uuid: string; readonly position: bigint },
): Promise<Definition | null> {
  const [run] = await history.rows<RunRow>(
    `select domain_id, live_definition_sha256, terminals, vnc_ports, from_position, valid_from from domain_states
      where domain_uuid = $1::text and ${validThen} and live_definition_sha256 <> ''`,
    [uuid, position],
  )
  if (run === undefined) return null
  const layers = await history.rows<LayerRow>(
    `select disk, layer, path, format, from_position, valid_from from disk_layers
      where domain_uuid = $1::text and ${validThen} order by disk, ordinal`,
    [uuid, position],
  )
  const started = parseDomain(await history.text(run.live_definition_sha256))
  const live = withLive(started, chainsOf(layers), {
    vncPorts: v.parse(portsSchema, JSON.parse(run.vnc_ports)),
    terminals: v.parse(terminalsSchema, JSON.parse(run.terminals)),
  })
  const xml = formatDomain(live, { live: { id: run.domain_id } })
  const since = layers.reduce<Since>((last, row) => (row.from_position > last.from_position ? row : last), run)
  return {
    xml,
    sha256: createHash('sha256').update(xml).digest('hex'),
    fromPosition: since.from_position,
    fromUs: microsecondsOf(since.valid_from),
  }
}

function chainsOf(rows: readonly LayerRow[]): ReadonlyMap<string, readonly LiveLayer[]> {
  const chains = new Map<string, LiveLayer[]>()
  for (const { disk, layer, path, format } of rows) {
    const chain = chains.get(disk) ?? []
    chain.push({ index: layer, path, format })
    chains.set(disk, chain)
  }
  return chains
}
