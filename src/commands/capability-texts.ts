import { describeDomainCapabilities } from '../conf/describe-domain-capabilities.ts'
import type { HostCpuFacts } from '../conf/describe-guest-cpu.ts'
import type { EmulatorFacts, EmulatorMachine, EmulatorVirtType } from '../conf/emulator-facts.ts'
import { capabilitiesDocument, guestPart, hostPart } from '../conf/format-capabilities.ts'
import { formatGuestCapabilities } from '../conf/format-domain-capabilities.ts'
import type { GuestAccelerator, GuestEmulator } from '../conf/guest-element.ts'
import { BoundedMap } from '../eventstore/bounded-map.ts'
import { Fault } from '../util/fault.ts'
import type { CapsVersion } from './caps-cache.ts'
import { daemonContext } from './daemon-caller.ts'
import { defaultEmulator } from './default-emulator.ts'
import type { DescribedHost } from './described-host.ts'
import type { Host } from './host.ts'
import type { ReadTexts } from './reads.ts'

/** Emulators that are asked at the same time for a full capabilities document. */
const parallelProbes = 4

/** Characters of printed documents in memory: those of domains have 10 to 60 thousand, guest parts up to 15. */
const maxPrinted = 8 << 20

/** What a text about a version needs of it. */
export type Described = Pick<CapsVersion, 'facts' | 'documentSha256'>

/**
 * Capability documents as clients read them. What was printed is remembered under everything that it was made of (the id of the capability
 * version, what was asked, what the host is), so a text that no longer holds is not found; versions are checked at each call all the same.
 */
export class CapabilityTexts {
  readonly #host: Pick<Host, 'caps' | 'driver' | 'notes'>
  readonly #describeHost: () => DescribedHost
  readonly #printed = new BoundedMap<string, string>(maxPrinted)
  #described: DescribedHost | null = null
  #whole: { readonly parts: readonly string[]; readonly text: string } | null = null

  constructor(host: Pick<Host, 'caps' | 'driver' | 'notes'>, describeHost: () => DescribedHost) {
    this.#host = host
    this.#describeHost = describeHost
  }

  /** See {@link ReadTexts}. */
  async hostCapabilitiesXml(): Promise<string> {
    const binaries = await this.#host.driver.listEmulators()
    const found = new Map(await this.#host.caps.knownOf(binaries))
    const waiting = binaries.filter((binary) => !found.has(binary))
    const workers = Array.from({ length: Math.min(parallelProbes, waiting.length) }, async () => {
      for (let binary = waiting.shift(); binary !== undefined; binary = waiting.shift()) {
        const facts = await this.#factsOrNull(binary)
        if (facts !== null) found.set(binary, facts)
      }
    })
    await Promise.all(workers)
    const sorted = [...found].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, facts]) => facts)
    return this.#joined([hostPart(this.#describedHost().document()), ...sorted.map((facts) => this.#guest(facts))])
  }

  /** See {@link ReadTexts}. */
  async domainCapabilitiesXml(wanted: Parameters<ReadTexts['domainCapabilitiesXml']>[0]): Promise<string> {
    const { caps } = this.#host
    const binary = wanted.binary ?? (await defaultEmulator(this.#host, wanted.arch ?? undefined))
    const version: Described =
      caps.known(binary) ?? (await caps.current(binary, daemonContext('CONNECT_GET_DOMAIN_CAPABILITIES')))
    const { facts } = version
    if (wanted.arch !== null && wanted.arch !== facts.arch) {
      throw new Fault(
        'invalid_arg',
        `Cannot describe domain capabilities: emulator "${binary}" runs ${facts.arch} guests, not "${wanted.arch}"`,
      )
    }
    const guest = { virtType: chooseVirtType(facts, wanted.virtType), machine: wanted.machine }
    const cpu = this.#describedHost().cpu()
    const key = JSON.stringify(['domain', facts.capsId, binary, guest.virtType, guest.machine, cpu])
    return this.#printed.get(key) ?? this.#keep(key, await this.#describe(version, { binary, guest, cpu }))
  }

  async #describe(
    version: Described,
    asked: {
      readonly binary: string
      readonly guest: { readonly virtType: EmulatorVirtType; readonly machine: string | null }
      readonly cpu: HostCpuFacts
    },
  ): Promise<string> {
    const { binary, guest, cpu } = asked
    const machine = chooseMachine(version.facts, guest.machine)
    const capabilities = await this.#host.caps.capabilities(version)
    const described = describeDomainCapabilities(
      { ...capabilities, emulator: binary },
      { ...guest, scope: 'daemon' },
      // Firmware and guests whose memory is encrypted are not given, so nothing is asked of the host about them.
      { cpu, sev: null, loaders: [], firmware: [] },
    )
    // Only the test emulator has machines that no accelerator of QEMU's has.
    const named = described.machine === null && machine !== null ? machine : null
    return formatGuestCapabilities(
      named === null ? described : { ...described, machine: named.name, maxVcpus: named.maxCpus },
    )
  }

  #guest(facts: EmulatorFacts): string {
    const key = JSON.stringify(['guest', facts.capsId, facts.binary])
    return this.#printed.get(key) ?? this.#keep(key, guestPart(guestOf(facts)))
  }

  #keep(key: string, text: string): string {
    this.#printed.set(key, text, text.length)
    return text
  }

  /** The last document again where none of its parts is another. */
  #joined(parts: readonly string[]): string {
    const last = this.#whole
    const isSame = last?.parts.length === parts.length && parts.every((part, at) => part === last.parts[at])
    if (last !== null && isSame) return last.text
    this.#whole = { parts, text: capabilitiesDocument(parts) }
    return this.#whole.text
  }

  #describedHost(): DescribedHost {
    this.#described ??= this.#describeHost()
    return this.#described
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
