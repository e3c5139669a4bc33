import { type CompletionPass, withDevices } from './completion.ts'
import type { DomainDef } from './domain-def.ts'
import type { EmulatorFacts } from './emulator-facts.ts'

/** Full name of a machine type; an unknown one is left for the validation to refuse. */
function machineName(facts: EmulatorFacts, wanted: string | undefined): string | undefined {
  if (wanted === undefined) return facts.machines.find((machine) => machine.isDefault)?.name
  if (facts.machines.some((machine) => machine.name === wanted)) return wanted
  return facts.machines.find((machine) => machine.alias === wanted)?.name ?? wanted
}

function hasBootOrder(def: DomainDef): boolean {
  const { disks, interfaces } = def.devices
  return [...disks, ...interfaces].some((device) => device.boot !== undefined)
}

/** Architecture, machine type, emulator and boot device. */
export const completeMachine: CompletionPass = (def, { facts }) => {
  const { type, boot } = def.os
  const machine = machineName(facts, type.machine)
  const os = {
    ...def.os,
    type: { ...type, arch: type.arch ?? facts.arch, machine },
    boot: boot.length > 0 || hasBootOrder(def) ? boot : [{ dev: 'hd' as const }],
  }
  return withDevices({ ...def, os }, { emulator: def.devices.emulator ?? facts.binary })
}
