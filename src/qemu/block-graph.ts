import * as v from 'valibot'
import type { HypervisorChain } from '../driver/driver.ts'
import { layerIndexOf, targetOfDevice } from './block-nodes.ts'
import type { DomainSession } from './domain-session.ts'
import { parseQmpValue } from './qmp-message.ts'

const graphReply = v.object({
  nodes: v.array(v.object({ id: v.number(), type: v.string(), name: v.string() })),
  edges: v.array(v.object({ parent: v.number(), child: v.number(), name: v.string() })),
})
const blockReply = v.array(
  v.object({ qdev: v.optional(v.string()), inserted: v.optional(v.object({ 'node-name': v.optional(v.string()) })) }),
)
const namedNodesReply = v.array(v.object({ 'node-name': v.optional(v.string()), drv: v.string(), file: v.string() }))

/** QEMU's block nodes with their edges, by name. */
export interface BlockGraph {
  readonly nodes: readonly GraphNode[]
  readonly edges: readonly { readonly parent: number; readonly child: number; readonly name: string }[]
}

/** A node of the graph: a `block-driver` node, or a `block-backend` or `block-job` that uses some. */
export interface GraphNode {
  readonly id: number
  readonly type: string
  readonly name: string
}

/** Asks for the graph. The command is the only one that tells edges by node; it has existed unchanged since QEMU 4.0. */
export async function queryBlockGraph(session: DomainSession, signal: AbortSignal): Promise<BlockGraph> {
  const command = 'x-debug-query-block-graph'
  return parseQmpValue(await session.execute(command, {}, { signal }), { shape: graphReply, of: command })
}

/** The chain below each disk's device as QEMU has it: only layers, without the filters that jobs put between them. */
export async function queryDomainChains(
  session: DomainSession,
  signal: AbortSignal,
): Promise<readonly HypervisorChain[]> {
  const [graph, blocks, named] = await Promise.all([
    queryBlockGraph(session, signal),
    session.execute('query-block', {}, { signal }),
    session.execute('query-named-block-nodes', { flat: true }, { signal }),
  ])
  const details = new Map(
    parseQmpValue(named, { shape: namedNodesReply, of: 'query-named-block-nodes' }).map((node) => [
      node['node-name'],
      node,
    ]),
  )
  const devices = parseQmpValue(blocks, { shape: blockReply, of: 'query-block' })
  return devices.flatMap(({ qdev, inserted }): HypervisorChain[] => {
    const target = qdev === undefined ? null : targetOfDevice(qdev)
    const top = inserted?.['node-name']
    if (target === null || top === undefined) return []
    const layers = layersBelow(graph, top).map((node) => ({
      node,
      // The file's node has the plain path; that of the format may be a JSON text.
      path: details.get(`${node}-file`)?.file ?? details.get(node)?.file ?? '',
      format: details.get(node)?.drv ?? '',
    }))
    return [{ target, layers }]
  })
}

/** Names of the layers from a node downwards, the node itself first. */
export function layersBelow({ nodes, edges }: BlockGraph, top: string): readonly string[] {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const layers: string[] = []
  const seen = new Set<number>()
  let at = nodes.find(({ type, name }) => type === 'block-driver' && name === top)
  while (at !== undefined && !seen.has(at.id)) {
    const { id, name } = at
    seen.add(id)
    const isLayer = layerIndexOf(name) !== null
    if (isLayer) layers.push(name)
    const below = edges.filter(({ parent }) => parent === id)
    // A filter has what it filters as its backing or its file; a layer's file is its own storage.
    const next =
      below.find((edge) => edge.name === 'backing') ??
      (isLayer ? undefined : below.find((edge) => edge.name === 'file'))
    at = next === undefined ? undefined : byId.get(next.child)
  }
  return layers
}

/** Names of layers' nodes that no device, job or other user reaches, in an order in which they can be deleted (users before what they use). */
export function unusedNodes({ nodes, edges }: BlockGraph): readonly string[] {
  const isOurs = ({ type, name }: GraphNode): boolean => type === 'block-driver' && /^layer-\d+(?:-file)?$/.test(name)
  const used = new Set<number>()
  const visit = (id: number): void => {
    if (used.has(id)) return
    used.add(id)
    for (const { parent, child } of edges) if (parent === id) visit(child)
  }
  for (const node of nodes) if (!isOurs(node)) visit(node.id)
  const unused = nodes.filter((node) => !used.has(node.id))
  const ordered: string[] = []
  const place = (node: GraphNode): void => {
    if (ordered.includes(node.name)) return
    for (const user of unused) {
      if (edges.some(({ parent, child }) => parent === user.id && child === node.id)) place(user)
    }
    ordered.push(node.name)
  }
  for (const node of unused) place(node)
  return ordered
}

/** Closes the files of layers that left all chains. Best effort: a node that QEMU still needs is tried again after the next job. */
export async function removeUnusedNodes(session: DomainSession, signal: AbortSignal): Promise<void> {
  const graph = await queryBlockGraph(session, signal)
  for (const name of unusedNodes(graph)) {
    await session.execute('blockdev-del', { 'node-name': name }, { signal }).catch(() => undefined)
  }
}
