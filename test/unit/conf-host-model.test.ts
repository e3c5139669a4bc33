import { describe, expect, test } from 'vitest'
import type { HostCpuDocument } from '../../src/conf/emulator-document.ts'
import { hostModelOf } from '../../src/conf/host-model.ts'

/** A host CPU as an emulator expands it: what it has, and what it knows and has not. */
function hostCpu(vendor: string, has: readonly string[], lacks: readonly string[] = []): HostCpuDocument {
  const property = (name: string, value: boolean | string) => ({ name, value, migratable: null })
  return {
    model: 'base',
    migratability: true,
    deprecatedFeatures: [],
    properties: [
      property('vendor', vendor),
      ...has.map((name) => property(name, true)),
      ...lacks.map((name) => property(name, false)),
    ],
  }
}

function modelOf(cpu: HostCpuDocument | null, arch = 'x86_64') {
  const cpus = ['kvm64', 'qemu64'].map((name) => {
    return { name, typeName: null, usable: true, blockers: [], deprecated: false }
  })
  const accelerators = [{ type: 'kvm' as const, hostCpu: cpu, cpus, machines: [] }]
  return hostModelOf({ arch, accelerators }, 'kvm')
}

const kvm64 =
  'apic cx8 clflush cmov cx16 de fpu fxsr lm mca mce mmx msr mtrr nx pae pat pge pni pse pse36 sep sse sse2 syscall tsc'

describe('hostModelOf()', () => {
  test('asks for no register of Intel where the processor is of another vendor', () => {
    const has = [...kvm64.split(' '), 'aes', 'arch-capabilities', 'rdctl-no']
    const names = (vendor: string) => modelOf(hostCpu(vendor, has))?.features.map(({ name }) => name)
    expect(names('GenuineIntel')).toEqual(['aes', 'arch-capabilities', 'rdctl-no'])
    expect(names('AuthenticAMD')).toEqual(['aes'])
  })

  test('leaves out of the model what the emulator knows and the host lacks', () => {
    const has = kvm64.split(' ').filter((name) => name !== 'pni' && name !== 'cx16')
    const known = modelOf(hostCpu('AuthenticAMD', has, ['pni']))
    expect(known).toMatchObject({ model: 'kvm64', features: [{ policy: 'disable', name: 'pni' }] })
  })

  test('has no name where the emulator does not tell, or for other processors', () => {
    expect(modelOf(null)).toBeNull()
    expect(modelOf(hostCpu('AuthenticAMD', kvm64.split(' ')), 's390x')).toBeNull()
    expect(hostModelOf({ arch: 'x86_64', accelerators: [] }, 'tcg')).toBeNull()
  })
})
