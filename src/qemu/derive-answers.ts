import type { EmulatorCapabilities } from '../conf/emulator-document.ts'
import type { EmulatorProbe, VirtType } from '../driver/emulator-probe.ts'
import { deriveWithEvidence, firstMachine } from './derive-document.ts'
import { flagRules } from './flag-rules.ts'
import type { ProbeConversation } from './probe-conversation.ts'

/** What an emulator says of itself: a probe without where, by whom and from which file. */
export type EmulatorAnswers = Omit<EmulatorProbe, 'binary' | 'facts' | 'conversation'>

/** The layout whose order of machines and whose flags the daemon itself works with. */
const ownFormat = '11.3.0'

/**
 * Everything the daemon knows of an emulator, out of what it answered. Pure: the recording of a probe gives the same at any time. Throws Fault where an
 * answer that is needed is missing, cannot be read, or contradicts another.
 */
export function deriveAnswers(conversation: ProbeConversation): EmulatorAnswers {
  const { capabilities, evidence } = deriveWithEvidence(conversation, { hasHvf: false, format: ownFormat })
  const { arch, version, accelerators } = capabilities
  const flags = flagRules.filter(({ fact }) => evidence.holds(fact)).map(({ flag }) => flag)
  return {
    ...{ arch, version, package: capabilities.package },
    virtTypes: accelerators.flatMap(({ type }): readonly VirtType[] =>
      type === 'kvm' ? ['kvm'] : type === 'tcg' ? ['qemu'] : [],
    ),
    ...modelsOf(capabilities),
    flags: flags.toSorted(),
    capabilities,
  }
}

/** Machines and CPU models under the preferred accelerator. */
function modelsOf({
  arch,
  accelerators: [preferred],
}: EmulatorCapabilities): Pick<EmulatorAnswers, 'machines' | 'cpuModels'> {
  const { machines = [], cpus = [] } = preferred ?? {}
  const first = firstMachine(machines, { arch, format: ownFormat })
  return {
    machines: machines.map(({ name, alias, maxCpus }) => ({
      ...{ name, alias, maxCpus },
      isDefault: name === first?.name,
    })),
    // Where QEMU does not say what is missing, nobody knows better.
    cpuModels: cpus.map(({ name, usable }) => ({ name, usable: usable ?? true })),
  }
}
