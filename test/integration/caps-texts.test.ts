import { copyFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { CapabilityTexts } from '../../src/commands/capability-texts.ts'
import type { HostDocument } from '../../src/conf/host-document.ts'
import type { CapsKit } from '../support/caps-kit.ts'
import { capsKitPerTest } from '../support/caps-kit-per-test.ts'
import { override } from '../support/override.ts'
import { requireTool } from '../support/require-tool.ts'

const present = requireTool('qemu-system')
const avr = '/usr/bin/qemu-system-avr'
const microblaze = '/usr/bin/qemu-system-microblaze'

describe.skipIf(!present)('CapabilityTexts, which remembers what it printed,', () => {
  let kit: CapsKit
  /** Links with the names of native emulators: everything that the host can change counts for them. */
  let binary: string
  let target: string
  let uuid: string
  let texts: CapabilityTexts

  capsKitPerTest((opened) => {
    kit = opened
  })
  beforeEach(() => {
    target = join(kit.directory, 'the-emulator')
    copyFileSync(avr, target)
    binary = join(kit.directory, 'qemu-system-x86_64')
    symlinkSync(target, binary)
    uuid = 'a7a7a7a7-0000-4000-8000-000000000001'
    const notes = { info: () => undefined, warn: () => undefined, error: () => undefined }
    const driver = override(kit.driver, { listEmulators: async () => [binary] })
    const document = (): HostDocument => ({ uuid, cpu: { arch: 'x86_64' }, powerManagement: [] })
    texts = new CapabilityTexts({ caps: kit.caps, driver, notes }, () => ({
      document,
      cpu: () => ({ model: null, physicalBits: null }),
    }))
  })

  const domainText = async (machine: string | null = null): Promise<string> =>
    await texts.domainCapabilitiesXml({ binary, arch: null, machine, virtType: null })

  function replaceBy(other: string): void {
    copyFileSync(other, `${target}.new`)
    renameSync(`${target}.new`, target)
  }

  async function counts() {
    const [probed, again, died] = await Promise.all([
      kit.facts('EmulatorProbed'),
      kit.facts('EmulatorReprobed'),
      kit.facts('EmulatorInvalidated'),
    ])
    return { probes: probed.length + again.length, deaths: died.map(({ data }) => data.reason) }
  }

  test('gives the same text again without reading the document, and another for another question', async () => {
    const first = await domainText()
    kit.textsRead.length = 0
    expect(await domainText()).toBe(first)
    expect(await domainText('arduino-mega')).toContain('<machine>arduino-mega')
    expect(await domainText()).toBe(first)
    expect(kit.textsRead).toEqual([])
    expect(await counts()).toEqual({ probes: 1, deaths: [] })
  })

  test('tells of another emulator as soon as it stands in the place of the first, in both documents', async () => {
    expect(await domainText()).toContain('<arch>avr</arch>')
    expect(await texts.hostCapabilitiesXml()).toContain("<arch name='avr'>")
    replaceBy(microblaze)
    expect(await domainText()).toContain('<arch>microblaze</arch>')
    replaceBy(avr)
    expect(await texts.hostCapabilitiesXml()).toContain("<arch name='avr'>")
    replaceBy(microblaze)
    const whole = await texts.hostCapabilitiesXml()
    expect(whole).toContain("<arch name='microblaze'>")
    expect(whole).not.toContain("<arch name='avr'>")
  })

  test.each([
    ['host_cpu_changed', (): void => void (kit.machine.stepping = '2')],
    ['kernel_changed', (): void => void (kit.machine.kernel = '6.2 #1')],
    ['microcode_changed', (): void => void (kit.machine.microcode = '0x2')],
    ['kvm_gone', (): void => void (kit.machine.kvm = false)],
    ['firmware_descriptors_changed', (): void => writeFileSync(join(kit.firmware, '60-own.json'), '{}')],
    ['module_directory_changed', (): void => writeFileSync(join(kit.modules, 'block-new.so'), '')],
  ] as const)('answers nothing from memory after %s: the emulator is asked again', async (reason, change) => {
    const first = await domainText()
    change()
    expect(await domainText()).toBe(first)
    expect(await counts()).toEqual({ probes: 2, deaths: [reason] })
    expect(await texts.hostCapabilitiesXml()).toContain("<arch name='avr'>")
    expect((await counts()).probes).toBe(2)
  })

  test('prints the host as it is now, beside guests that have not changed', async () => {
    const first = await texts.hostCapabilitiesXml()
    expect(await texts.hostCapabilitiesXml()).toBe(first)
    const before = uuid
    uuid = 'b7b7b7b7-0000-4000-8000-000000000002'
    expect(await texts.hostCapabilitiesXml()).toBe(first.replace(before, uuid))
    expect(await counts()).toEqual({ probes: 1, deaths: [] })
  })

  test('forgets a version that the operator has forgotten', async () => {
    const first = await domainText()
    await kit.caps.invalidate((await kit.look(binary)).facts, {
      stale: { reason: 'operator_request', was: 'it', is: 'forgotten' },
      detectedBy: 'CAPS_FORGET',
      context: kit.context(),
    })
    expect(kit.caps.known(binary)).toBeNull()
    expect(await kit.caps.knownOf([binary])).toEqual(new Map())
    expect(await domainText()).toBe(first)
    expect(await counts()).toEqual({ probes: 2, deaths: ['operator_request'] })
  })
})
