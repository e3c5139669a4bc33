import type { DomainDef } from '../conf/domain-def.ts'
import { formatDomain } from '../conf/format-domain.ts'
import type { BackingStore } from '../conf/storage-source.ts'
import { type AnyFact, newFact } from '../events/catalogue.ts'
import type { Blob } from '../eventstore/recorded-event.ts'
import { domainStream } from '../events/stream-names.ts'
import type { Turn } from '../eventstore/turn.ts'
import type { Layer } from '../model/chain.ts'
import { type Domain, evolveDomain } from '../model/domain.ts'
import { Fault } from '../util/fault.ts'
import { sha256 } from '../util/sha256.ts'
import type { Host } from './host.ts'
import { type Context, domainIn, type Proposal, readDomainAt, record } from './record.ts'

/** Facts with the texts that they name by hash. */
export interface FactsAndTexts {
  readonly facts: readonly AnyFact[]
  readonly texts: readonly Blob[]
}

/**
 * Lets the next-boot definition name the active images that the given facts leave behind. A disk whose definition names
 * another image than the one in use (it was redefined meanwhile) is left as the user wrote it.
 */
async function followChain(
  host: Pick<Host, 'texts'>,
  change: { readonly uuid: string; readonly domain: Domain; readonly facts: readonly AnyFact[] },
): Promise<FactsAndTexts> {
  const { domain, facts } = change
  if (domain.definition === null) return { facts: [], texts: [] }
  const after = facts.reduce(evolveDomain, domain)
  const moved = Object.keys(after.chains.byDisk).flatMap((disk) => {
    const [was, is] = [domain.chains.byDisk[disk] ?? [], after.chains.byDisk[disk] ?? []]
    return was[0] === undefined || is[0] === undefined || samePaths(was, is)
      ? []
      : [{ disk, was: was[0], is: is[0], layers: is }]
  })
  if (moved.length === 0) return { facts: [], texts: [] }
  const definition = await host.texts.definition(domain.definition.definitionSha256)
  const followers = moved.filter(({ disk, was, is }) => {
    const named = definition.devices.disks.find(({ target }) => target.dev === disk)
    // The same active image needs no change, unless the definition states what lies below it.
    return named?.source?.file === was.path && (was.path !== is.path || named.backingStore !== undefined)
  })
  if (followers.length === 0) return { facts: [], texts: [] }
  const disks = definition.devices.disks.map((disk) => {
    const move = followers.find((one) => one.disk === disk.target.dev)
    if (move === undefined) return disk
    return {
      ...disk,
      driver: { ...disk.driver, name: disk.driver?.name ?? 'qemu', type: move.is.format },
      source: { ...disk.source, file: move.is.path },
      backingStore: disk.backingStore === undefined ? undefined : statedStore(move.layers),
    }
  })
  const next: DomainDef = { ...definition, devices: { ...definition.devices, disks } }
  const text = formatDomain(next)
  const definitionSha256 = sha256(text)
  host.texts.keep(definitionSha256, text)
  const fact = newFact('DomainDefinitionFollowed', {
    definitionSha256,
    disks: followers.map(({ disk, is }) => ({ disk, path: is.path })),
  })
  return { facts: [fact], texts: [{ sha256: definitionSha256, bytes: Buffer.from(text) }] }
}

/** How often a domain may change while facts that depend on it are on their way. */
const maxRounds = 16

/**
 * Records facts about chains together with the definition that follows them. `facts` may wait; they are worked out again
 * when anything was recorded of the domain meanwhile, so that an older view of it never undoes what a client changed. `still`
 * says inside the turn whether they are wanted yet; `release` gives back what is not needed after them.
 */
export async function recordFollowed(
  host: Host,
  context: Context,
  change: {
    readonly uuid: string
    readonly facts: (domain: Domain) => Promise<FactsAndTexts>
    readonly still: (domain: Domain) => boolean
    readonly release?: (turn: Turn) => readonly Proposal[]
  },
): Promise<void> {
  const { uuid } = change
  for (let round = 0; round < maxRounds; round++) {
    const { domain, revision } = await readDomainAt(host, uuid)
    const { facts, texts } = await change.facts(domain)
    const followed = await followChain(host, { uuid, domain, facts })
    let isStale = false
    await record(host, context, {
      kind: 'fact',
      decide: (turn) => {
        const now = domainIn(turn, uuid)
        isStale = turn.revision(domainStream(uuid)) !== revision
        if (isStale || !change.still(now)) return []
        const own = {
          stream: domainStream(uuid),
          facts: [...facts, ...followed.facts],
          texts: [...texts, ...followed.texts],
        }
        return [own, ...(change.release?.(turn) ?? [])]
      },
    })
    if (!isStale) return
  }
  throw new Fault('internal', `Cannot record what became of domain ${uuid}: it changed ${maxRounds} times meanwhile`)
}

/** What a definition that states its chain says of these layers: everything below the active image, and that it ends there. */
function statedStore(layers: readonly Layer[]): BackingStore {
  let store: BackingStore = { kind: 'end' }
  for (const { path, format } of layers.slice(1).toReversed()) {
    store = {
      kind: 'layer',
      layer: { type: 'file', format: { type: format }, source: { file: path }, backingStore: store },
    }
  }
  return store
}

function samePaths(a: readonly Layer[], b: readonly Layer[]): boolean {
  return a.length === b.length && a.every((layer, at) => layer.path === b[at]?.path)
}
