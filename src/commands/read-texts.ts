import { formatCapabilities, type HostDescription } from '../conf/capabilities-xml.ts'
import { formatDomainCapabilities } from '../conf/domain-capabilities-xml.ts'
import type { EmulatorFacts } from '../conf/emulator-facts.ts'
import { formatDomain } from '../conf/format-domain.ts'
import { metadataElement } from '../conf/metadata-element.ts'
import { formatSnapshot } from '../conf/snapshot-def.ts'
import { Fault } from '../util/fault.ts'
import { daemonContext } from './daemon-caller.ts'
import { defaultEmulator } from './default-emulator.ts'
import type { Host } from './host.ts'
import { liveDefinition, nextDefinition } from './live-definition.ts'
import type { DomainView, ReadTexts } from './reads.ts'

/** Emulators that are asked at the same time for a full capabilities document. */
const parallelProbes = 4

/** Texts of the live view. Printed definitions of running domains are remembered while nothing about them changes. */
export class LiveTexts implements ReadTexts {
  readonly #host: Host
  readonly #describeHost: () => HostDescription
  /** The printed form stands for a definition and chains exactly; any change of them makes another key. */
  readonly #printed = new Map<string, { readonly key: string; readonly xml: string }>()

  constructor(host: Host, describeHost: () => HostDescription) {
    this.#host = host
    this.#describeHost = describeHost
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
    const waiting = [...(await this.#host.driver.listEmulators())]
    const found = new Map<string, EmulatorFacts>()
    const workers = Array.from({ length: parallelProbes }, async () => {
      for (let binary = waiting.shift(); binary !== undefined; binary = waiting.shift()) {
        const facts = await this.#factsOrNull(binary)
        if (facts !== null) found.set(binary, facts)
      }
    })
    await Promise.all(workers)
    const sorted = [...found].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, facts]) => facts)
    return formatCapabilities(this.#describeHost(), sorted)
  }

  async domainCapabilitiesXml(wanted: Parameters<ReadTexts['domainCapabilitiesXml']>[0]): Promise<string> {
    const binary = wanted.binary ?? (await defaultEmulator(this.#host, wanted.arch ?? undefined))
    const { facts } = await this.#host.caps.current(binary, daemonContext('CONNECT_GET_DOMAIN_CAPABILITIES'))
    if (wanted.arch !== null && wanted.arch !== facts.arch) {
      throw new Fault(
        'invalid_arg',
        `Cannot describe domain capabilities: emulator "${binary}" runs ${facts.arch} guests, not "${wanted.arch}"`,
      )
    }
    const virtType = wanted.virtType === null ? undefined : facts.virtTypes.find((type) => type === wanted.virtType)
    if (wanted.virtType !== null && virtType === undefined) {
      throw new Fault(
        'invalid_arg',
        `Cannot describe domain capabilities: emulator "${binary}" does not support virt type "${wanted.virtType}", it supports ${facts.virtTypes.join(', ')}`,
      )
    }
    return formatDomainCapabilities(facts, {
      ...(wanted.machine === null ? {} : { machine: wanted.machine }),
      ...(virtType === undefined ? {} : { virtType }),
    })
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

  async #factsOrNull(binary: string): Promise<EmulatorFacts | null> {
    try {
      return (await this.#host.caps.current(binary, daemonContext('CONNECT_GET_CAPABILITIES'))).facts
    } catch (error) {
      this.#host.notes.warn({ err: error, emulator: binary }, 'An emulator is left out of the capabilities')
      return null
    }
  }
}
