import { expect, test } from 'vitest'
import { documentText, parseDocument } from '../../src/commands/caps-document.ts'
import type { EmulatorCapabilities } from '../../src/conf/emulator-document.ts'
import { probeTestEmulator } from '../../src/testdriver/test-emulator.ts'

const wide = 18_446_744_073_709_551_615n

test('documentText() keeps the order of members, and integers wherever there are any', () => {
  const { capabilities: plain, ...probe } = probeTestEmulator(1)
  const [accelerator] = plain.accelerators
  const properties = [
    { name: 'level', value: wide, migratable: null },
    { name: 'vendor', value: 'Acme "1"', migratable: true },
    { name: 'vmx', value: false, migratable: false },
  ]
  const hostCpu = { model: 'host', migratability: true, properties, deprecatedFeatures: [] }
  const capabilities: EmulatorCapabilities = {
    ...plain,
    accelerators: [
      { type: 'kvm', cpus: accelerator?.cpus ?? [], machines: accelerator?.machines ?? [], hostCpu },
      { type: 'tcg', cpus: [], machines: [], hostCpu: null },
    ],
    sgx: { flc: true, sgx1: true, sgx2: false, sectionSizeKib: wide, sections: [{ node: 0, sizeKib: 1024n }] },
  }
  const text = documentText({ ...probe, capabilities })
  expect(parseDocument(text).capabilities).toEqual(capabilities)
  expect(text).toContain(`{"name":"level","value":{"integer":"${wide}"},"migratable":null}`)
  const inOrder = JSON.stringify(capabilities, (_key, item: unknown) =>
    typeof item === 'bigint' ? { integer: String(item) } : item,
  )
  expect(text.endsWith(`,"capabilities":${inOrder}}`)).toBe(true)
  expect(parseDocument(documentText({ ...probe, capabilities: plain })).capabilities).toEqual(plain)
})
