import { mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { FirmwareDescriptors } from '../../src/host/firmware-descriptors.ts'
import { KvmCpuid } from '../../src/host/kvm-cpuid.ts'
import { readSecureGuest } from '../../src/host/read-secure-guest.ts'

test('FirmwareDescriptors.hash() tells names and contents apart, and nothing else', () => {
  const directory = mkdtempSync(join(tmpdir(), 'firmware-'))
  try {
    const firmware = new FirmwareDescriptors([join(directory, 'none'), directory])
    const file = (name: string): string => join(directory, name)
    const empty = firmware.hash()
    writeFileSync(file('50-ovmf.json'), '{"a":1}')
    const one = firmware.hash()
    writeFileSync(file('README'), 'no descriptor')
    utimesSync(file('50-ovmf.json'), 1, 1)
    expect(firmware.hash()).toBe(one)
    writeFileSync(file('50-ovmf.json'), '{"a":2}')
    const other = firmware.hash()
    writeFileSync(file('60-ovmf.json'), '{"a":2}')
    expect(new Set([empty, one, other, firmware.hash()]).size).toBe(4)
    rmSync(file('60-ovmf.json'))
    writeFileSync(file('50-ovmf.json'), '{"a":1}')
    expect(firmware.hash()).toBe(one)
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('readSecureGuest() says what the kernel says, and none where it says nothing', () => {
  const files: Record<string, string> = {
    '/sys/module/kvm_amd/parameters/sev': 'Y\n',
    '/sys/module/kvm_amd/parameters/sev_es': 'N\n',
  }
  const read = (path: string): string | null => files[path] ?? null
  expect(readSecureGuest({ read, exists: (path) => path === '/dev/sev' })).toBe(
    'kvm_amd.sev=Y, kvm_amd.sev_es=N, /dev/sev',
  )
  expect(readSecureGuest({ read: () => null, exists: () => false })).toBe('none')
})

test('KvmCpuid.hash() is the same on every CPU and in every process, and null without KVM', () => {
  expect(new KvmCpuid('/dev/null-kvm').hash()).toBeNull()
  expect(new KvmCpuid('/dev/null').hash()).toBeNull()
  expect(new KvmCpuid(tmpdir()).hash()).toBeNull()
  const [hash, again] = [new KvmCpuid().hash(), new KvmCpuid().hash()]
  expect(again).toBe(hash)
  if (hash !== null) {
    expect(hash).toMatch(/^[0-9a-f]{64}$/)
    expect(statSync('/dev/kvm').isCharacterDevice()).toBe(true)
  }
})
