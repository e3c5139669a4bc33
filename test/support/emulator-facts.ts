import type { EmulatorFacts } from '../../src/conf/emulator-facts.ts'

/** What a QEMU 7.2 for x86_64 can do, as far as definitions are judged by it. */
export const qemu72: EmulatorFacts = {
  capsId: 'caps-1',
  binary: '/usr/bin/qemu-system-x86_64',
  arch: 'x86_64',
  version: 7_002_000n,
  virtTypes: ['kvm', 'qemu'],
  machines: [
    { name: 'pc-i440fx-7.2', alias: 'pc', maxCpus: 255, isDefault: true },
    { name: 'pc-q35-7.2', alias: 'q35', maxCpus: 288, isDefault: false },
    { name: 'isapc', maxCpus: 1, isDefault: false },
  ],
  cpuModels: [
    { name: 'qemu64', usable: true },
    { name: 'Haswell', usable: false },
  ],
  flags: new Set(),
}
