import { formatDomain } from '../conf/format-domain.ts'
import { metadataElement } from '../conf/metadata-element.ts'
import { formatSnapshot } from '../conf/snapshot-def.ts'
import { Fault } from '../util/fault.ts'
import { CapabilityTexts } from './capability-texts.ts'
import type { DescribedHost } from './described-host.ts'
import type { Host } from './host.ts'
import { liveDefinition, nextDefinition } from './live-definition.ts'
import type { DomainView, ReadTexts } from './reads.ts'

/** Texts of the live view. Printed definitions of running domains are remembered while nothing about them changes. */
export class LiveTexts implements ReadTexts {
  readonly #host: Host
  readonly #capabilities: CapabilityTexts
  /** The printed form stands for a definition and chains exactly; any change of them makes another key. */
  readonly #printed = new Map<string, { readonly key: string; readonly xml: string }>()

  constructor(host: Host, describeHost: () => DescribedHost) {
    this.#host = host
    this.#capabilities = new CapabilityTexts(host, describeHost)
  }

  domainXml(
    domain: DomainView,
    options: { readonly inactive: boolean; readonly secure: boolean },
  ): string | Promise<string> {
    if (domain.active && !options.inactive) return this.#liveXml(domain)
    if (domain.definition !== null) return this.#host.texts.get(domain.definition.definition_sha256)
    return nextDefinition(this.#host, domain).then((definition) => formatDomain(definition))
  }

  async snapshotXml(domain: DomainView, name: string): Promise<string> {
    const row = this.#host.reads.snapshots(domain.uuid).find((one) => one.name === name)
    if (row === undefined) throw new Fault('no_snapshot', `no domain snapshot with matching name '${name}'`)
    const definition = await this.#host.texts.definition(row.definition_sha256)
    const disks = this.#host.reads.snapshotDisks(domain.uuid, name)
    return formatSnapshot({
      name: row.name,
      description: row.description ?? undefined,
      state: row.state === 'disk-snapshot' ? 'disk-snapshot' : 'shutoff',
      parent: row.parent ?? undefined,
      creationTime: row.created_at_us / 1_000_000n,
      memory: { snapshot: 'no' },
      disks: disks.map((disk) => ({
        name: disk.disk,
        snapshot: disk.snapshot === 'external' ? ('external' as const) : ('no' as const),
        ...(disk.path === null
          ? {}
          : { type: 'file' as const, driver: { type: disk.format ?? 'qcow2' }, source: { file: disk.path } }),
      })),
      domain: { kind: 'definition', definition },
    })
  }

  async hostCapabilitiesXml(): Promise<string> {
    return await this.#capabilities.hostCapabilitiesXml()
  }

  async domainCapabilitiesXml(wanted: Parameters<ReadTexts['domainCapabilitiesXml']>[0]): Promise<string> {
    return await this.#capabilities.domainCapabilitiesXml(wanted)
  }

  async metadata(domain: DomainView, wanted: Parameters<ReadTexts['metadata']>[1]): Promise<string> {
    const definition = wanted.inactive
      ? await nextDefinition(this.#host, domain)
      : await liveDefinition(this.#host, domain)
    const found = wanted.kind === 'element' ? metadataElement(definition, wanted.uri) : definition[wanted.kind]
    if (found === undefined) throw new Fault('no_domain_metadata', 'Requested metadata element is not present')
    return found
  }

  async #liveXml(domain: DomainView): Promise<string> {
    const key = JSON.stringify([
      domain.run?.live_definition_sha256,
      domain.id,
      domain.run?.terminals,
      domain.run?.vnc_ports,
      this.#host.reads.layerKeys(domain.uuid),
    ])
    const known = this.#printed.get(domain.uuid)
    if (known?.key === key) return known.xml
    const xml = formatDomain(await liveDefinition(this.#host, domain), { live: { id: domain.id } })
    this.#printed.set(domain.uuid, { key, xml })
    for (const uuid of this.#printed.keys())
      if (this.#host.reads.byUuid(uuid)?.active !== true) this.#printed.delete(uuid)
    return xml
  }
}
