import * as v from 'valibot'
import type { EmulatorProbe } from '../driver/emulator-probe.ts'

/** The capability document as it is stored: what the emulator can do, without the facts of its file. */
export const documentSchema = v.object({
  virtTypes: v.array(v.picklist(['kvm', 'qemu', 'test'])),
  machines: v.array(
    v.object({ name: v.string(), alias: v.nullable(v.string()), maxCpus: v.number(), isDefault: v.boolean() }),
  ),
  cpuModels: v.array(v.object({ name: v.string(), usable: v.boolean() })),
  flags: v.array(v.string()),
  version: v.number(),
  package: v.string(),
  arch: v.string(),
})

/** The part of a probe's answer that makes a capability version: equal documents are the same version. */
export function documentOf(probe: EmulatorProbe): v.InferOutput<typeof documentSchema> {
  const { virtTypes, machines, cpuModels, flags, version, arch } = probe
  return {
    virtTypes: [...virtTypes],
    machines: [...machines],
    cpuModels: [...cpuModels],
    flags: [...flags],
    version,
    package: probe.package,
    arch,
  }
}
