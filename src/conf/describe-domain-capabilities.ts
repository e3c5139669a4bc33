import { describeGuestCpu, type HostCpuFacts } from './describe-guest-cpu.ts'
import type { DomainCapabilities } from './domain-capabilities.ts'
import type { Accelerator, EmulatorCapabilities, EmulatorDocument, MachineDocument } from './emulator-document.ts'
import { chooseFirmware, type FirmwareChoice, type FirmwareDescriptor } from './firmware-descriptor.ts'
import { type CapabilityScope, deviceRows, groupFor, memoryBackingRow } from './guest-device-table.ts'
import { describeFeatures, type SevHostFacts } from './guest-feature-table.ts'
import type { GuestKind, GuestVirtType } from './guest-kind.ts'

/** The guest that a client asks about. */
export interface GuestQuestion {
  readonly virtType: GuestVirtType
  /** Name or alias of a machine type; null: the emulator's first. */
  readonly machine: string | null
  /** `emulator` if not given. */
  readonly scope?: CapabilityScope
}

/** What the emulator cannot say: facts of the host. */
export interface GuestHostFacts {
  readonly cpu: HostCpuFacts
  readonly sev: SevHostFacts | null
  /** Firmware files that a definition may name as its loader. */
  readonly loaders: readonly string[]
  /** Firmware that is chosen for a definition which names none. */
  readonly firmware: readonly FirmwareDescriptor[]
}

const acceleratorOf: Readonly<Record<GuestVirtType, Accelerator | null>> = {
  kvm: 'kvm',
  hvf: 'hvf',
  qemu: 'tcg',
  test: null,
}

/**
 * Describes what a guest of an emulator may be given. Pure, and no judge: whether the emulator has that machine type and virtualization
 * type is the caller's to ask; where it has not, the description has no machine or no `maxVcpus`.
 */
export function describeDomainCapabilities(
  document: EmulatorCapabilities & Pick<EmulatorDocument, 'emulator'>,
  { virtType, machine, scope = 'emulator' }: GuestQuestion,
  host: GuestHostFacts,
): DomainCapabilities {
  const type = acceleratorOf[virtType]
  const accelerator = document.accelerators.find((each) => each.type === type) ?? null
  const own = chooseMachine(accelerator?.machines ?? [], machine)
  const named =
    own ??
    chooseMachine(
      document.accelerators.flatMap(({ machines }) => machines),
      machine,
    )
  const guest: GuestKind = {
    arch: document.arch,
    virtType,
    machine: named?.name ?? '',
    flags: new Set(document.flags),
  }
  const all = scope === 'emulator'
  const firmware = chooseFirmware(all ? host.firmware : [], guest)
  return {
    emulator: document.emulator,
    virtType,
    machine: named?.name ?? null,
    arch: document.arch,
    maxVcpus: own === undefined || own.maxCpus === 0 ? null : own.maxCpus,
    iothreads: all,
    firmware: firmware.types,
    loader: all ? loaderOf(host.loaders, firmware) : { name: 'loader', supported: false, paths: [], enums: [] },
    cpu: describeGuestCpu(guest, { accelerator, host: host.cpu }),
    memoryBacking: groupFor(memoryBackingRow, { guest, scope }),
    devices: deviceRows.map((row) => groupFor(row, { guest, scope })),
    features: describeFeatures(guest, { document, sevHost: host.sev, scope }),
  }
}

function loaderOf(paths: readonly string[], { secure }: FirmwareChoice): DomainCapabilities['loader'] {
  return {
    name: 'loader',
    supported: true,
    paths,
    enums: [
      { name: 'type', values: ['rom', 'pflash'] },
      { name: 'readonly', values: ['yes', 'no'] },
      { name: 'secure', values: secure ? ['yes', 'no'] : ['no'] },
    ],
  }
}

function chooseMachine(machines: readonly MachineDocument[], wanted: string | null): MachineDocument | undefined {
  if (wanted === null) return machines[0]
  return machines.find(({ alias }) => alias === wanted) ?? machines.find(({ name }) => name === wanted)
}
