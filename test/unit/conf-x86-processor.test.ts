import { describe, expect, test } from 'vitest'
import { processorX86Model, x86VendorName } from '../../src/conf/best-x86-model.ts'
import { x86Models } from '../../src/conf/x86-cpu-models.ts'
import { featuresByCpuid, featuresByFlags, isStatedByCpuid } from '../../src/conf/x86-processor.ts'

const none = { eax: 0, ebx: 0, ecx: 0, edx: 0 }

describe('featuresByCpuid()', () => {
  test('names the bits that are set, also the highest', () => {
    const answers = new Map([
      [0, { ...none, eax: 7 }],
      [1, { ...none, ecx: 0x8000_0001, edx: 1 }],
      [0x8000_0000, { ...none, eax: 0x8000_0001 }],
      [0x8000_0001, { ...none, edx: 1 << 20 }],
    ])
    const features = featuresByCpuid((leaf, subleaf) => (subleaf === 0 ? (answers.get(leaf) ?? none) : none))
    expect([...features].toSorted()).toEqual(['fpu', 'hypervisor', 'nx', 'pni'])
  })

  test('asks no leaf that the processor does not have', () => {
    const asked: number[] = []
    const all = { eax: 0xffff_ffff, ebx: 0xffff_ffff, ecx: 0xffff_ffff, edx: 0xffff_ffff }
    const features = featuresByCpuid((leaf) => {
      asked.push(leaf)
      return leaf === 0 ? { ...none, eax: 1 } : leaf === 0x8000_0000 ? none : all
    })
    expect(new Set(asked)).toEqual(new Set([0, 0x8000_0000, 1]))
    expect(features.has('avx')).toBe(true)
    expect(features.has('avx2')).toBe(false)
  })
})

describe('featuresByFlags()', () => {
  test('knows the kernel names of features', () => {
    const features = featuresByFlags('GenuineIntel', ['sse4_1', 'pclmulqdq', 'avx512_vnni', 'cr8_legacy', 'bogus'])
    expect([...features]).toEqual(['sse4.1', 'pclmuldq', 'avx512vnni', 'cr8legacy'])
  })

  test('takes the name of a defence for the bit by which the vendor offers it', () => {
    const flags = ['ibrs', 'ibpb', 'stibp', 'ssbd']
    expect([...featuresByFlags('GenuineIntel', flags)]).toEqual(['spec-ctrl', 'stibp', 'ssbd'])
    expect([...featuresByFlags('AuthenticAMD', flags)]).toEqual(['ibrs', 'ibpb', 'amd-stibp', 'amd-ssbd'])
    expect([...featuresByFlags('CentaurHauls', flags)]).toEqual([])
  })
})

describe('processorX86Model()', () => {
  const signature = { vendor: 'GenuineIntel', family: null, model: null, stepping: null }

  test.each(x86Models.filter(({ vendor }) => vendor === 'Intel').map((model) => [model.name, model] as const))(
    'has no model for a processor that lacks something of it (%s)',
    (_name, model) => {
      const told = [...model.features].filter(isStatedByCpuid)
      expect(processorX86Model({ ...signature, features: new Set(told) })?.features).toEqual([])
      for (const lacking of told) {
        const features = new Set(told.filter((one) => one !== lacking))
        const found = processorX86Model({ ...signature, features })
        const of = x86Models.find(({ name }) => name === found?.model)
        expect(of?.features.has(lacking), `without ${lacking} it is ${found?.model}`).not.toBe(true)
      }
    },
  )

  test('takes the model that was made after the processor, though another is nearer', () => {
    const model = x86Models.find(({ name }) => name === 'Nehalem')
    const features = new Set([...(model?.features ?? []), 'aes', 'pclmuldq'].filter(isStatedByCpuid))
    const found = processorX86Model({ vendor: 'GenuineIntel', features, family: 6n, model: 26n, stepping: 5n })
    expect(found).toEqual({ model: 'Nehalem', features: ['pclmuldq', 'aes'] })
    expect(processorX86Model({ ...signature, features })?.model).toBe('Westmere')
  })

  test('names vendors as definitions do', () => {
    expect(['GenuineIntel', 'CentaurHauls'].map(x86VendorName)).toEqual(['Intel', 'CentaurHauls'])
  })
})
