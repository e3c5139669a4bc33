import { createHash } from 'node:crypto'
import type { EmulatorIdentity, EmulatorProbe, Staleness } from '../driver/emulator-probe.ts'

import { Fault } from '../util/fault.ts'

/** Path under which the test emulator is known; no file has it. */
export const testEmulatorBinary = 'test'

/** libvirt's names of the architectures by Node's. */
const archNames: Readonly<Partial<Record<NodeJS.Architecture, string>>> = {
  arm: 'armv7l',
  arm64: 'aarch64',
  loong64: 'loongarch64',
  ppc64: 'ppc64le',
  riscv64: 'riscv64',
  s390x: 's390x',
  x64: 'x86_64',
}

type TestAnswers = Omit<EmulatorProbe, 'binary' | 'facts' | 'conversation'>

/** What the test emulator of this version can do; a version stands for another executable. */
export function probeTestEmulator(version: number): EmulatorProbe {
  const { capabilities, ...abilities } = abilitiesOf(version)
  const reply = JSON.stringify(abilities, null, 2)
  return {
    ...abilities,
    capabilities,
    binary: testEmulatorBinary,
    facts: identityOf(createHash('sha256').update(reply).digest('hex')),
    conversation: `{"execute": "query-test-emulator"}\n\n${reply}\n`,
  }
}

function abilitiesOf(version: number): TestAnswers {
  const arch = archNames[process.arch] ?? process.arch
  return {
    ...{ arch, version, package: '' },
    virtTypes: ['test'],
    machines: [{ name: 'test-machine', alias: 'test', maxCpus: 255, isDefault: true }],
    cpuModels: [{ name: 'test-cpu', usable: true }],
    flags: [],
    // No accelerator of QEMU's: its machine and its CPU model are nobody else's.
    capabilities: {
      ...{ arch, version, package: '', flags: [], accelerators: [], gic: [] },
      ...{ sev: null, sgx: null, hyperv: null },
    },
  }
}

/** What was answered in a recorded conversation with the test emulator. Throws Fault where it is none. */
export function deriveTestAnswers(conversation: string): TestAnswers {
  const version = /"version": (\d+)/.exec(conversation)?.[1]
  if (version === undefined)
    throw new Fault('invalid_arg', 'Cannot read the conversation: it is none with the test emulator')
  return abilitiesOf(Number(version))
}

/** What changed between two identities of the test emulator, by the words of the list of reasons. */
export function compareTestEmulator(recorded: EmulatorIdentity, current: EmulatorIdentity): Staleness | null {
  if (recorded.sha256 === current.sha256) return null
  return { reason: 'emulator_changed', was: recorded.sha256, is: current.sha256 }
}

function identityOf(sha256: string): EmulatorIdentity {
  return {
    resolvedPath: testEmulatorBinary,
    device: 0n,
    inode: 0n,
    sizeBytes: 0n,
    ctimeNs: 0n,
    sha256,
    executablePath: testEmulatorBinary,
    executable: null,
    kvmUsable: false,
    moduleDirectory: null,
    moduleDirectoryMtimeNs: null,
    kernel: '',
    microcode: null,
    hostCpu: '',
    nestedKvm: false,
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    daemonBuild: null,
    cpuid: null,
    secureGuest: null,
    firmware: null,
  }
}
