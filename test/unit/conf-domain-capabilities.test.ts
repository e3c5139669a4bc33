import { describe, expect, test } from 'vitest'
import { bestX86Model } from '../../src/conf/best-x86-model.ts'
import { describeDomainCapabilities, type GuestHostFacts } from '../../src/conf/describe-domain-capabilities.ts'
import type { DomainCapabilities } from '../../src/conf/domain-capabilities.ts'
import type { CpuDocument, CpuProperty, EmulatorDocument, HostCpuDocument } from '../../src/conf/emulator-document.ts'
import { chooseFirmware, type FirmwareDescriptor } from '../../src/conf/firmware-descriptor.ts'
import { formatGuestCapabilities } from '../../src/conf/format-domain-capabilities.ts'
import { formatEmulatorDocument } from '../../src/conf/format-emulator-document.ts'
import { parseEmulatorDocument } from '../../src/conf/parse-emulator-document.ts'
import { x86FeatureOrder, x86Models } from '../../src/conf/x86-cpu-models.ts'
import { DefinitionError } from '../../src/xml/definition-error.ts'
import { childrenOf } from '../../src/xml/xml-node.ts'
import { parseXml } from '../../src/xml/parse-xml.ts'

/** The smallest document that says something of each kind. */
const text = `<qemuCaps>
  <emulator>/usr/bin/qemu-system-x86_64</emulator>
  <qemuctime>7</qemuctime>
  <selfctime>8</selfctime>
  <selfvers>0</selfvers>
  <flag name='kvm'/>
  <flag name='vnc'/>
  <flag name='tcg'/>
  <version>8002000</version>
  <microcodeVersion>3</microcodeVersion>
  <package></package>
  <arch>x86_64</arch>
  <hostCPU type='kvm' model='base' migratability='yes'>
    <property name='vendor' type='string' value='GenuineIntel'/>
    <property name='family' type='number' value='6'/>
    <property name='avx' type='boolean' value='true' migratable='yes'/>
  </hostCPU>
  <cpu type='kvm' name='Haswell' typename='Haswell-x86_64-cpu' usable='no'>
    <blocker name='rtm'/>
    <blocker name='hle'/>
    <blocker name='rtm'/>
  </cpu>
  <cpu type='kvm' name='base' usable='yes'/>
  <machine type='kvm' name='pc-q35-8.2' alias='q35' maxCpus='288' default='yes'/>
  <machine type='kvm' name='pc-i440fx-8.2' alias='pc' maxCpus='255'/>
  <machine type='tcg' name='pc-i440fx-8.2' alias='pc' maxCpus='255'/>
</qemuCaps>
`

const host: GuestHostFacts = {
  cpu: { model: null, physicalBits: 46 },
  sev: null,
  loaders: [],
  firmware: [],
}

function described(document: EmulatorDocument, machine: string | null): DomainCapabilities {
  return describeDomainCapabilities(document, { virtType: 'kvm', machine }, host)
}

/** The values of a choice, `disk/bus`, for a guest. */
function valuesOf(capabilities: DomainCapabilities, path: string): readonly string[] | undefined {
  const [device, name] = path.split('/')
  return capabilities.devices.find((each) => each.name === device)?.enums.find((each) => each.name === name)?.values
}

describe('parseEmulatorDocument()', () => {
  test('reads a document so that the same bytes are printed', () => {
    expect(formatEmulatorDocument(parseEmulatorDocument(text), '11.3.0')).toBe(text)
  })

  test.each([
    ["name='pc-q35-8.2' alias='q35' maxCpus='288'", "name='pc-q35-8.2' maxCpus='many'", 'machine/@maxCpus: "many"'],
    ["usable='no'", "usable='maybe'", 'cpu/@usable: "maybe" must be yes or no'],
    ["type='kvm' name='base'", "type='xen' name='base'", 'qemuCaps/cpu/@type: "xen" must be one of kvm, hvf, tcg'],
    ["value='true'", "value='1'", 'property "avx" is "1", it must be true or false'],
    ["type='number' value='6'", "type='number' value='six'", 'property "family" is "six"'],
    ["type='string'", "type='text'", 'property "vendor" has the unknown type "text"'],
    ['<version>8002000</version>', '<version>8.2</version>', 'version: "8.2" must be a whole number'],
    ['<arch>x86_64</arch>', '', 'qemuCaps/arch: the element is missing'],
    ['<arch>x86_64</arch>', '<arch>x86_64</arch><colour/>', 'the element <colour> is not known'],
    ["<cpu type='kvm' name='base' usable='yes'/>", "<cpu type='kvm'/>", 'cpu/@name: the attribute is missing'],
  ])('refuses %s as %s', (right, wrong, message) => {
    expect(() => parseEmulatorDocument(text.replace(right, wrong))).toThrow(message)
    expect(() => parseEmulatorDocument(text.replace(right, wrong))).toThrow(DefinitionError)
  })

  test('refuses another document', () => {
    expect(() => parseEmulatorDocument('<domain/>')).toThrow('it is <domain>, it must be <qemuCaps>')
  })
})

describe('describeDomainCapabilities()', () => {
  const document = parseEmulatorDocument(text)

  test('finds a machine by alias and takes the first where none is asked for', () => {
    expect(described(document, 'pc')).toMatchObject({ machine: 'pc-i440fx-8.2', maxVcpus: 255 })
    expect(described(document, null)).toMatchObject({ machine: 'pc-q35-8.2', maxVcpus: 288 })
    expect(described(document, 'pc-9.9')).toMatchObject({ machine: null, maxVcpus: null })
  })

  test('gives IDE to the machine that has it', () => {
    expect(valuesOf(described(document, 'pc'), 'disk/bus')).toContain('ide')
    expect(valuesOf(described(document, 'q35'), 'disk/bus')).not.toContain('ide')
  })

  test('lets a flag decide about a choice, and a device go that has none', () => {
    expect(valuesOf(described(document, null), 'graphics/type')).toEqual(['vnc'])
    const withTpm = { ...document, flags: [...document.flags, 'tpm-crb', 'tpm-emulator', 'spice'] }
    expect(valuesOf(described(withTpm, null), 'graphics/type')).toEqual(['vnc', 'spice'])
    expect(valuesOf(described(withTpm, null), 'tpm/backendModel')).toEqual(['emulator', 'external'])
    expect(described(document, null).devices.find(({ name }) => name === 'tpm')).toMatchObject({ supported: false })
  })

  test('lists the models that definitions know, with what each lacks here', () => {
    expect(described(document, null).cpu.custom).toEqual([
      {
        name: 'Haswell',
        usable: 'no',
        deprecated: false,
        vendor: 'Intel',
        canonical: 'Haswell-v1',
        blockers: ['hle', 'rtm'],
      },
    ])
  })

  test('says nothing of SEV where the host has no keys for it', () => {
    const sev = { cBitPosition: 51, reducedPhysicalBits: 1, pdh: '', certChain: '', cpu0Id: null }
    const print = (facts: GuestHostFacts): string =>
      formatGuestCapabilities(
        describeDomainCapabilities({ ...document, sev }, { virtType: 'kvm', machine: null }, facts),
      )
    expect(print(host)).toContain("<sev supported='no'/>")
    const keys = { maxGuests: 10, maxEncryptedStateGuests: 5 }
    expect(print({ ...host, sev: keys })).toContain('<maxESGuests>5</maxESGuests>')
  })

  test('gives an emulated guest no passthrough and no width of addresses', () => {
    const { cpu } = describeDomainCapabilities(document, { virtType: 'qemu', machine: null }, host)
    expect(cpu.hostPassthrough.supported).toBe(false)
    expect(cpu.hostModel).toBe(null)
  })

  test('offers of this daemon what it gives, whatever the emulator has', () => {
    const rich = {
      ...document,
      flags: [...document.flags, 'spice', 'tpm-crb', 'tpm-emulator', 'vmcoreinfo', 'vmgenid'],
    }
    const own = describeDomainCapabilities(rich, { virtType: 'kvm', machine: null, scope: 'daemon' }, host)
    expect(valuesOf(own, 'graphics/type')).toEqual(['vnc'])
    expect(valuesOf(own, 'disk/diskDevice')).toEqual(['disk', 'cdrom', 'floppy'])
    expect(own.devices.find(({ name }) => name === 'tpm')).toEqual({ name: 'tpm', supported: false, enums: [] })
    const supported = own.features.flatMap((each) => (each.kind === 'group' && each.supported ? [each.name] : []))
    expect(supported).toEqual(['vmcoreinfo', 'backingStoreInput', 'ps2'])
    expect([own.loader.supported, own.firmware, own.iothreads]).toEqual([false, [], false])
  })

  test('prints every part once, in an order that schemas fix', () => {
    const names = childrenOf(parseXml(formatGuestCapabilities(described(document, null)))).map(({ name }) => name)
    expect(names).toEqual([
      ...['path', 'domain', 'machine', 'arch', 'vcpu', 'iothreads', 'os', 'cpu', 'memoryBacking', 'devices'],
      'features',
    ])
  })
})

describe('bestX86Model()', () => {
  const offered = x86Models.map(
    ({ name }): CpuDocument => ({
      ...{ name, typeName: null, usable: true, blockers: [], deprecated: false },
    }),
  )

  function hostOf(
    name: string,
    options: { readonly without?: readonly string[]; readonly plus?: readonly string[] } = {},
  ): HostCpuDocument {
    const model = x86Models.find((each) => each.name === name)
    if (model === undefined) throw new Error(`no model ${name}`)
    const [signature] = model.signatures
    const vendors: Readonly<Record<string, string>> = {
      Intel: 'GenuineIntel',
      AMD: 'AuthenticAMD',
      Hygon: 'HygonGenuine',
    }
    const has = [...model.features, ...(options.plus ?? [])].filter(
      (feature) => options.without?.includes(feature) !== true,
    )
    const property = (key: string, value: CpuProperty['value']): CpuProperty => ({ name: key, value, migratable: null })
    return {
      model: 'base',
      migratability: true,
      deprecatedFeatures: [],
      properties: [
        property('vendor', vendors[model.vendor ?? ''] ?? 'Unknown'),
        ...(signature === undefined
          ? []
          : [
              property('family', BigInt(signature.family)),
              property('model', BigInt(signature.model)),
              property('stepping', BigInt(signature.steppings?.[0] ?? 1)),
            ]),
        ...has.map((feature) => property(feature, true)),
      ],
    }
  }

  test.each(x86Models.filter(({ signatures }) => signatures.length > 0).map(({ name }) => [name]))(
    'knows a host that is exactly %s',
    (name) => {
      const best = bestX86Model(hostOf(name, { plus: ['vmx'] }), offered)
      // Two models of one processor may have the same features.
      const same = x86Models.find((each) => each.name === best?.model)
      const wanted = x86Models.find((each) => each.name === name)
      expect(same?.features).toEqual(wanted?.features)
      expect(best?.features.filter((each) => each.name !== 'vmx')).toEqual([])
    },
  )

  test('names what the host has more and less, in the order of the processor', () => {
    const best = bestX86Model(
      hostOf('EPYC-Milan', { without: ['pku', 'erms'], plus: ['x2apic', 'hypervisor'] }),
      offered,
    )
    expect(best?.model).toBe('EPYC-Milan')
    expect(best?.features.map(({ policy, name }) => `${policy} ${name}`)).toEqual([
      'require x2apic',
      'require hypervisor',
      'disable erms',
      'disable pku',
    ])
  })

  test('disables what the emulator says is missing, though the table does not have it', () => {
    const cpus = offered.map((cpu) =>
      cpu.name === 'EPYC-Rome' ? { ...cpu, blockers: ['xsaves', 'x-unheard-of'] } : cpu,
    )
    const best = bestX86Model(hostOf('EPYC-Rome'), cpus)
    expect(best?.features).toEqual([{ policy: 'disable', name: 'xsaves' }])
  })

  test('prefers an older model of another processor to one that loses many features', () => {
    const emulated = hostOf('EPYC-Milan', { without: ['avx', 'avx2', 'fma', 'f16c', 'vaes', 'pku'] })
    const elsewhere = {
      ...emulated,
      properties: emulated.properties.filter(({ name }) => !['family', 'model', 'stepping'].includes(name)),
    }
    const few = bestX86Model(elsewhere, offered)
    expect(few?.features.filter(({ policy }) => policy === 'disable').length).toBeLessThan(10)
  })

  test('takes only models that the emulator has', () => {
    const old = offered.filter(({ name }) => name !== 'Icelake-Server')
    expect(bestX86Model(hostOf('Icelake-Server'), old)?.model).not.toBe('Icelake-Server')
    expect(bestX86Model(hostOf('Icelake-Server'), [])).toBe(null)
  })

  test('tells steppings of one model apart', () => {
    expect(bestX86Model(hostOf('Cooperlake', { plus: ['vmx'] }), offered)?.model).toBe('Cooperlake')
    expect(bestX86Model(hostOf('Cascadelake-Server', { plus: ['vmx'] }), offered)?.model).toBe('Cascadelake-Server')
  })

  test('every feature of a model has a place in the order', () => {
    const unknown = x86Models.flatMap(({ features }) => [...features].filter((name) => !x86FeatureOrder.has(name)))
    expect(unknown).toEqual([])
  })
})

describe('chooseFirmware()', () => {
  const secure: FirmwareDescriptor = {
    interfaceTypes: ['uefi'],
    targets: [{ architecture: 'x86_64', machines: ['pc-q35-*'] }],
    features: ['secure-boot', 'requires-smm'],
  }
  const bios: FirmwareDescriptor = {
    interfaceTypes: ['bios'],
    targets: [{ architecture: 'i386', machines: ['pc-?440fx-*'] }],
    features: [],
  }

  test('takes what is for this architecture and machine', () => {
    expect(chooseFirmware([secure, bios], { arch: 'x86_64', machine: 'pc-q35-8.2' })).toEqual({
      types: ['efi'],
      secure: true,
    })
    expect(chooseFirmware([secure, bios], { arch: 'i686', machine: 'pc-i440fx-8.2' })).toEqual({
      types: ['bios'],
      secure: false,
    })
    expect(chooseFirmware([secure, bios], { arch: 'aarch64', machine: 'virt-8.2' })).toEqual({
      types: [],
      secure: false,
    })
  })

  test('a point in a machine name is no pattern', () => {
    const exact = { ...secure, targets: [{ architecture: 'x86_64', machines: ['pc-1.0'] }] }
    expect(chooseFirmware([exact], { arch: 'x86_64', machine: 'pc-1x0' }).types).toEqual([])
  })
})
