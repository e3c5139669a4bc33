import { describeDomainCapabilities } from '../conf/describe-domain-capabilities.ts'
import type { EmulatorFacts, EmulatorMachine, EmulatorVirtType } from '../conf/emulator-facts.ts'
import { formatCapabilitiesDocument } from '../conf/format-capabilities.ts'
import { formatDomain } from '../conf/format-domain.ts'
import { formatGuestCapabilities } from '../conf/format-domain-capabilities.ts'
import type { GuestAccelerator, GuestEmulator } from '../conf/guest-element.ts'
import { metadataElement } from '../conf/metadata-element.ts'
import { formatSnapshot } from '../conf/snapshot-def.ts'
import { Fault } from '../util/fault.ts'
import { daemonContext } from './daemon-caller.ts'
import { defaultEmulator } from './default-emulator.ts'
import type { DescribedHost } from './described-host.ts'
import type { Host } from './host.ts'
import { liveDefinition, nextDefinition } from './live-definition.ts'
import type { DomainView, ReadTexts } from './reads.ts'

/** Emulators that are asked at the same time for a full capabilities document. */
const parallelProbes = 4

/** Texts of the live view. Printed definitions of running domains are remembered while nothing about them changes. */
export class LiveTexts implements ReadTexts {
  readonly #host: Host
  readonly #describeHost: () => DescribedHost
  #described: DescribedHost | null = null
  /** The printed form stands for a definition and chains exactly; any change of them makes another key. */
  readonly #printed = new Map<string, { readonly key: string; readonly xml: string }>()

  constructor(host: Host, describeHost: () => DescribedHost) {
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
    return formatCapabilitiesDocument(this.#describedHost().document(), sorted.map(guestOf))
  }

  async domainCapabilitiesXml(wanted: Parameters<ReadTexts['domainCapabilitiesXml']>[0]): Promise<string> {
    const binary = wanted.binary ?? (await defaultEmulator(this.#host, wanted.arch ?? undefined))
    const version = await this.#host.caps.current(binary, daemonContext('CONNECT_GET_DOMAIN_CAPABILITIES'))
    const { facts } = version
    if (wanted.arch !== null && wanted.arch !== facts.arch) {
      throw new Fault(
        'invalid_arg',
        `Cannot describe domain capabilities: emulator "${binary}" runs ${facts.arch} guests, not "${wanted.arch}"`,
      )
    }
    const virtType = chooseVirtType(facts, wanted.virtType)
    const machine = chooseMachine(facts, wanted.machine)
    const capabilities = await this.#host.caps.capabilities(version)
    const described = describeDomainCapabilities(
      { ...capabilities, emulator: binary },
      { virtType, machine: wanted.machine, scope: 'daemon' },
      // Firmware and guests whose memory is encrypted are not given, so nothing is asked of the host about them.
      { cpu: this.#describedHost().cpu(), sev: null, loaders: [], firmware: [] },
    )
    // Only the test emulator has machines that no accelerator of QEMU's has.
    const named = described.machine === null && machine !== null ? machine : null
    return formatGuestCapabilities(
      named === null ? described : { ...described, machine: named.name, maxVcpus: named.maxCpus },
    )
  }

  async metadata(domain: DomainView, wanted: Parameters<ReadTexts['metadata']>[1]): Promise<string> {
    const definition = wanted.inactive
      ? await nextDefinition(this.#host, domain)
      : await liveDefinition(this.#host, domain)
    const found = wanted.kind === 'element' ? metadataElement(definition, wanted.uri) : definition[wanted.kind]
    if (found === undefined) throw new Fault('no_domain_metadata', 'Requested metadata element is not present')
    return found
  }

  #describedHost(): DescribedHost {
    this.#described ??= this.#describeHost()
    return this.#described
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

function chooseVirtType({ binary, virtTypes }: EmulatorFacts, wanted: string | null): EmulatorVirtType {
  if (wanted === null) return virtTypes[0] ?? 'qemu'
  const found = virtTypes.find((type) => type === wanted)
  if (found !== undefined) return found
  throw new Fault(
    'invalid_arg',
    `Cannot describe domain capabilities: emulator "${binary}" does not support virt type "${wanted}", it supports ${virtTypes.join(', ')}`,
  )
}

/** The machine that is asked for, or the emulator's default; null where it has none at all. */
function chooseMachine({ binary, machines }: EmulatorFacts, wanted: string | null): EmulatorMachine | null {
  if (wanted === null) return machines.find(({ isDefault }) => isDefault) ?? machines[0] ?? null
  const found = machines.find(({ name, alias }) => name === wanted || alias === wanted)
  if (found !== undefined) return found
  throw new Fault(
    'invalid_arg',
    `Cannot describe domain capabilities: emulator "${binary}" has no machine type "${wanted}"`,
  )
}

const acceleratorNames: Readonly<Record<EmulatorVirtType, GuestAccelerator>> = { kvm: 'kvm', qemu: 'tcg', test: 'test' }

function guestOf({ arch, binary, virtTypes, machines }: EmulatorFacts): GuestEmulator {
  return {
    arch,
    binary,
    accelerators: virtTypes.map((type) => acceleratorNames[type]),
    machines: machines.map(({ alias, ...machine }) => ({ ...machine, alias: alias ?? null })),
    scope: 'daemon',
  }
}
