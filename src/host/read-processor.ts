import { processorX86Model } from '../conf/best-x86-model.ts'
import type { HostCpuFacts } from '../conf/describe-guest-cpu.ts'
import { featuresByCpuid, featuresByFlags } from '../conf/x86-processor.ts'
import type { HostCpu } from '../driver/host-facts.ts'
import { readHostCpu, readMicrocode } from './host-cpu.ts'
import type { HostProcessor, HostSources } from './host-parts.ts'

// The first CPU's flags alone have some KiB.
const oneCpuBytes = 65_536

/** The first CPU of the host; nothing of nodes, caches or emulators is read for it. */
export function readProcessor({
  files,
  withCpuid,
  tsc,
  arch,
}: Pick<HostSources, 'files' | 'withCpuid' | 'tsc' | 'arch'>): Omit<HostProcessor, 'nestedKvm'> {
  const cpu = readHostCpu(files.read)
  const text = files.read('/proc/cpuinfo', oneCpuBytes) ?? ''
  const isX86 = arch === 'x86_64' || /^i[3-6]86$/.test(arch)
  const features = isX86 ? (withCpuid(featuresByCpuid) ?? featuresByFlags(cpu.vendor, flagsOf(text))) : null
  const named = features === null ? null : processorX86Model({ ...signatureOf(cpu), features })
  return {
    arch,
    ...cpu,
    namedModel: named?.model ?? powerModel(cpu.name),
    features: named?.features ?? [],
    microcode: readMicrocode(files.read),
    physicalBits: physicalBitsOf(text),
    counter: isX86 ? tsc() : null,
  }
}

/** The part of the processor that domain capabilities need; what an emulator tells itself is not looked for. */
export function readGuestCpuFacts({ files }: Pick<HostSources, 'files'>): HostCpuFacts {
  const text = files.read('/proc/cpuinfo', oneCpuBytes) ?? ''
  return { model: powerModel(readHostCpu(files.read).name), physicalBits: physicalBitsOf(text) }
}

function physicalBitsOf(cpuinfo: string): number | null {
  const bits = /^address sizes\s*:\s*(\d+) bits physical/m.exec(cpuinfo)?.[1]
  return bits === undefined ? null : Number(bits)
}

function flagsOf(cpuinfo: string): readonly string[] {
  return (
    /^flags\s*:(.*)$/m
      .exec(cpuinfo)?.[1]
      ?.split(' ')
      .filter((flag) => flag !== '') ?? []
  )
}

function signatureOf({ vendor, family, model, stepping }: HostCpu) {
  const number = (text: string): bigint | null => (/^\d+$/.test(text) ? BigInt(text) : null)
  return { vendor, family: number(family), model: number(model), stepping: number(stepping) }
}

/** POWER processors are called by their generation alone, `POWER9 (raw), altivec supported`. */
function powerModel(name: string): string | null {
  return /^POWER\d+/.exec(name)?.[0] ?? null
}
