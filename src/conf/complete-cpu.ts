import { archOf, type CompletionContext, type CompletionPass } from './completion.ts'
import type { CpuDef } from './cpu-def.ts'

const defaultModel: Readonly<Record<string, string>> = { x86_64: 'qemu64', i686: 'qemu32' }

function chosen(cpu: CpuDef): CpuDef {
  const features = cpu.features.map((feature) => ({ ...feature, policy: feature.policy ?? 'require' }))
  const named = { ...cpu, features }
  switch (cpu.mode ?? 'custom') {
    case 'host-passthrough':
    case 'maximum':
      return { ...named, check: cpu.check ?? 'none', migratable: cpu.migratable ?? true }
    case 'host-model':
      return { ...named, check: cpu.check ?? 'partial' }
    case 'custom':
      return {
        ...named,
        mode: 'custom',
        match: cpu.match ?? 'exact',
        check: cpu.check ?? 'partial',
        model: cpu.model === undefined ? undefined : { ...cpu.model, fallback: cpu.model.fallback ?? 'allow' },
      }
  }
}

function withTopology(cpu: CpuDef): CpuDef {
  if (cpu.topology === undefined) return cpu
  const { dies, clusters } = cpu.topology
  return { ...cpu, topology: { ...cpu.topology, dies: dies ?? 1, clusters: clusters ?? 1 } }
}

/** The model that QEMU would take by itself, spelt out, so that an upgrade of QEMU cannot change the guest's CPU. */
function implicit(cpu: CpuDef, model: string): CpuDef {
  return { ...cpu, mode: 'custom', match: 'exact', check: 'none', model: { fallback: 'forbid', name: model } }
}

/** Mode, model and policies of the CPU. */
export const completeCpu: CompletionPass = (def, context: CompletionContext) => {
  const cpu = withTopology(def.cpu ?? { features: [] })
  if (cpu.model !== undefined || (cpu.mode !== undefined && cpu.mode !== 'custom')) return { ...def, cpu: chosen(cpu) }
  const model = defaultModel[archOf(def, context)]
  const known = model !== undefined && context.facts.cpuModels.some(({ name }) => name === model)
  if (known) return { ...def, cpu: implicit(cpu, model) }
  return def.cpu === undefined ? def : { ...def, cpu }
}
