import type { DomainDef } from '../conf/domain-def.ts'
import { formatDomain } from '../conf/format-domain.ts'
import { type AnyFact, newFact } from '../events/catalogue.ts'
import type { Blob } from '../eventstore/recorded-event.ts'
import { type Domain, evolveDomain } from '../model/domain.ts'
import { sha256 } from '../util/sha256.ts'
import type { Host } from './host.ts'

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

function sourceOf(definition: DomainDef, target: string): string | undefined {
  return definition.devices.disks.find((disk) => disk.target.dev === target)?.source?.file
}
