import * as v from 'valibot'
import { alternatives } from './closest-names.ts'
import { CliError } from './cli-error.ts'
import { exitCode } from './exit-code.ts'
import { findDomain, type KnownDomain } from './find-domain.ts'
import { byteSize, localTime, microsecondsOf, utcTime } from './format-time.ts'
import { type History, openHistory, positionOption } from './history.ts'
import type { Invocation } from './invocation.ts'
import { type Output, toned } from './output.ts'
import { type LayerVersion, splitChain, type WentLayer } from './split-chain.ts'
import { formatTable } from './text-table.ts'
import { tellEvent, type ToldEvent, whatOf, whoOf } from './told-event.ts'

const mostVersions = 100_000
const optionsSchema = v.object({ asOf: v.optional(v.string()) })

interface LayerRow {
  readonly disk: string
  readonly layer: number
  readonly ordinal: number
  readonly role: string
  readonly path: string
  readonly format: string
  readonly virtual_size_bytes: bigint
  readonly created_by: string
  readonly from_position: bigint
  readonly to_position: bigint | null
  readonly valid_from: string
  readonly [column: string]: unknown
}

/** A file that left the chain, with the event that took it out. */
interface Departure {
  readonly layer: WentLayer
  readonly by: ToldEvent | null
}

/** One disk at the moment that was asked for. */
interface ShownChain {
  readonly disk: string
  readonly layers: readonly LayerVersion[]
  readonly departures: readonly Departure[]
}

/** `chronovisor chain`: the files of a disk at any moment, what created each, and those that left with what took them out. */
export async function chainCommand(invocation: Invocation): Promise<number> {
  const options = v.parse(optionsSchema, invocation.options)
  const [wanted = '', disk] = invocation.args
  await using history = await openHistory(invocation.config)
  const position = await positionOption(history, options.asOf, { nowUs: invocation.nowUs() })
  const domain = await findDomain(history, { wanted, position })
  const versions = await readVersions(history, { uuid: domain.uuid, position })
  const disks = disksOf(versions, { domain, disk })
  const chains = await Promise.all(
    disks.map(async (name) => await chainOf(history, { versions, disk: name, position })),
  )
  const { out } = invocation
  if (out.isJson) out.document({ domain: domain.name, uuid: domain.uuid, position, disks: chains.map(documentOf) })
  else
    chains.forEach((chain, at) =>
      show(out, chain, { title: `${domain.name} ${chain.disk} at @${position}`, isFirst: at === 0 }),
    )
  return chains.some((chain) => chain.layers.length > 0) ? exitCode.found : exitCode.nothing
}

async function readVersions(
  history: History,
  { uuid, position }: { readonly uuid: string; readonly position: bigint },
): Promise<readonly LayerVersion[]> {
  const rows = await history.rows<LayerRow>(
    `select disk, layer, ordinal, role, path, format, virtual_size_bytes, created_by, from_position, to_position, valid_from
      from disk_layers where domain_uuid = $1::text and from_position <= $2::int8 order by disk, layer, from_position limit ${mostVersions}`,
    [uuid, position],
  )
  return rows.map((row) => ({
    disk: row.disk,
    index: row.layer,
    ordinal: row.ordinal,
    role: row.role,
    path: row.path,
    format: row.format,
    virtualSizeBytes: row.virtual_size_bytes,
    createdBy: row.created_by,
    fromPosition: row.from_position,
    toPosition: row.to_position,
    fromUs: microsecondsOf(row.valid_from),
  }))
}

function disksOf(
  versions: readonly LayerVersion[],
  wish: { readonly domain: KnownDomain; readonly disk: string | undefined },
): readonly string[] {
  const known = [...new Set(versions.map((version) => version.disk))]
  if (wish.disk === undefined) return known
  if (known.includes(wish.disk)) return [wish.disk]
  const offer = known.length === 0 ? '; no chain of this domain was known by then' : alternatives(wish.disk, known)
  throw new CliError(
    `Cannot show disk "${wish.disk}" of domain "${wish.domain.name}": no chain of it is recorded${offer}`,
  )
}

async function chainOf(
  history: History,
  wish: { readonly versions: readonly LayerVersion[]; readonly disk: string; readonly position: bigint },
): Promise<ShownChain> {
  const { disk, position } = wish
  const { layers, left } = splitChain(
    wish.versions.filter((version) => version.disk === disk),
    position,
  )
  const departures = left.map(async (layer) => {
    const event = await history.event(layer.toPosition)
    return { layer, by: event === null ? null : tellEvent(event) }
  })
  return { disk, layers, departures: await Promise.all(departures) }
}

function show(
  out: Output,
  chain: ShownChain,
  { title, isFirst }: { readonly title: string; readonly isFirst: boolean },
): void {
  const { layers, departures } = chain
  out.lines([...(isFirst ? [] : ['']), toned(out, 'heading', title)])
  if (layers.length === 0) out.line('No chain was recorded at that moment.')
  else out.lines(formatTable(layerColumns, layers.map(cellsOf)))
  if (departures.length === 0) return
  out.lines(['', toned(out, 'heading', 'Files that left the chain')])
  out.lines(formatTable(departureColumns, departures.map(departureCells)))
}

const layerColumns = ['LAYER', 'PATH', 'FORMAT', 'ROLE', 'SIZE', 'SINCE', 'CREATED BY'].map((title) => ({ title }))
const departureColumns = ['LAYER', 'PATH', 'LEFT', 'AT', 'TAKEN OUT BY'].map((title) => ({ title }))

function departureCells({ layer, by }: Departure): readonly string[] {
  const place = [String(layer.index), layer.path]
  if (by === null) return [...place, '', `@${layer.toPosition}`, 'an event that is not in the log']
  const what = `${by.recorded.type} (${whatOf(by)}; ${whoOf(by)})`
  return [...place, localTime(by.recorded.recordedAtUs), `@${layer.toPosition}`, what]
}

function cellsOf(layer: LayerVersion): readonly string[] {
  const { index, path, format, role, virtualSizeBytes, fromUs, fromPosition, createdBy } = layer
  return [
    String(index),
    path,
    format,
    role,
    byteSize(virtualSizeBytes),
    `${localTime(fromUs)} @${fromPosition}`,
    createdBy,
  ]
}

function documentOf({ disk, layers, departures }: ShownChain): object {
  return {
    disk,
    layers: layers.map((layer) => ({
      layer: layer.index,
      path: layer.path,
      format: layer.format,
      role: layer.role,
      virtualSizeBytes: layer.virtualSizeBytes,
      createdBy: layer.createdBy,
      sincePosition: layer.fromPosition,
      since: utcTime(layer.fromUs),
    })),
    left: departures.map(({ layer, by }) => ({
      layer: layer.index,
      path: layer.path,
      leftPosition: layer.toPosition,
      leftAt: by === null ? null : utcTime(by.recorded.recordedAtUs),
      event: by?.recorded.type ?? null,
      by: by === null ? null : whoOf(by),
      commandId: by?.meta.commandId ?? null,
    })),
  }
}
