import type { DomainDef } from '../conf/domain-def.ts'
import { formatDomain } from '../conf/format-domain.ts'
import { type AnyFact, newFact } from '../events/catalogue.ts'
import type { Blob } from '../eventstore/recorded-event.ts'
import { domainStream } from '../events/stream-names.ts'
import type { Turn } from '../eventstore/turn.ts'
import { type Domain, evolveDomain } from '../model/domain.ts'
import { Fault } from '../util/fault.ts'
import { sha256 } from '../util/sha256.ts'
import type { Host } from './host.ts'
import { type Context, domainIn, type Proposal, readDomain, record } from './record.ts'

/** The change of the next-boot definition that goes with facts about chains, and its text. */
export interface Followed {
  readonly facts: readonly AnyFact[]
  readonly texts: readonly Blob[]
}

/**
 * Lets the next-boot definition name the active images that the given facts leave behind. A disk whose definition names
 * another image than the one in use (it was redefined meanwhile) is left as the user wrote it.
 */
export async function followChain(
  host: Pick<Host, 'texts'>,
  change: { readonly uuid: string; readonly domain: Domain; readonly facts: readonly AnyFact[] },
): Promise<Followed> {
  const { domain, facts } = change
  if (domain.definition === null) return { facts: [], texts: [] }
  const after = facts.reduce(evolveDomain, domain)
  const moved = Object.keys(after.chains.byDisk).flatMap((disk) => {
    const was = domain.chains.byDisk[disk]?.[0]
    const is = after.chains.byDisk[disk]?.[0]
    return was === undefined || is === undefined || was.path === is.path ? [] : [{ disk, was: was.path, is }]
  })
  if (moved.length === 0) return { facts: [], texts: [] }
  const definition = await host.texts.definition(domain.definition.definitionSha256)
  const followers = moved.filter(({ disk, was }) => sourceOf(definition, disk) === was)
  if (followers.length === 0) return { facts: [], texts: [] }
  const disks = definition.devices.disks.map((disk) => {
    const move = followers.find((one) => one.disk === disk.target.dev)
    if (move === undefined) return disk
    return {
      ...disk,
      driver: { ...disk.driver, name: disk.driver?.name ?? 'qemu', type: move.is.format },
      source: { ...disk.source, file: move.is.path },
      backingStore: undefined,
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

/** How often the definition may be changed by others while facts that it follows are on their way. */
const maxRounds = 16

/**
 * Records facts about chains together with the definition that follows them. `facts` may wait; they are worked out again
 * when the definition was changed meanwhile, so that a client's own change is never undone by an older one. `still`
 * says inside the turn whether they are wanted yet.
 */
export async function recordFollowed(
  host: Host,
  context: Context,
  change: {
    readonly uuid: string
    readonly facts: (domain: Domain) => Promise<readonly AnyFact[]>
    readonly still: (domain: Domain) => boolean
    readonly texts?: readonly Blob[]
    readonly release?: (turn: Turn) => readonly Proposal[]
  },
): Promise<void> {
  const { uuid, texts = [] } = change
  for (let round = 0; round < maxRounds; round++) {
    const domain = await readDomain(host, uuid)
    const facts = await change.facts(domain)
    const followed = await followChain(host, { uuid, domain, facts })
    let isStale = false
    await record(host, context, {
      kind: 'fact',
      decide: (turn) => {
        const now = domainIn(turn, uuid)
        isStale = now.definition?.definitionSha256 !== domain.definition?.definitionSha256
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
  throw new Fault('internal', `Cannot record what became of domain ${uuid}: its definition changed ${maxRounds} times`)
}

function sourceOf(definition: DomainDef, target: string): string | undefined {
  return definition.devices.disks.find((disk) => disk.target.dev === target)?.source?.file
}
