import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { EmulatorDirectories } from '../../src/qemu/emulator-directories.ts'

let root: string
let bin: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'emulators-'))
  bin = join(root, 'bin')
  mkdirSync(bin)
  mkdirSync(join(root, 'libexec'))
  for (const name of ['qemu-system-arm', 'qemu-system-avr', 'qemu-img']) program(join(bin, name))
  for (const name of ['qemu-kvm', 'qemu-system-i386']) program(join(root, 'libexec', name))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function program(path: string): void {
  writeFileSync(path, '', { mode: 0o755 })
}

function directories(): EmulatorDirectories {
  return new EmulatorDirectories([bin, join(root, 'missing'), join(root, 'libexec')])
}

test('find() gives what is an emulator by its name and may be executed', () => {
  chmodSync(join(bin, 'qemu-system-avr'), 0o644)
  const expected = ['qemu-system-arm', 'qemu-kvm']
  expect(
    directories()
      .find()
      .map((path) => basename(path)),
  ).toEqual(expected)
})

test('find() sees at once what is added, removed or allowed later', async () => {
  const found = directories()
  const names = (): readonly string[] => found.find().map((path) => basename(path))
  // Beyond the time in which a listing is not trusted.
  await sleep(120)
  expect(names()).toEqual(['qemu-system-arm', 'qemu-system-avr', 'qemu-kvm'])
  symlinkSync('qemu-system-arm', join(bin, 'qemu-system-ppc'))
  expect(names()).toContain('qemu-system-ppc')
  rmSync(join(bin, 'qemu-system-avr'))
  expect(names()).not.toContain('qemu-system-avr')
  await sleep(120)
  expect(names()).toContain('qemu-system-arm')
  chmodSync(join(bin, 'qemu-system-arm'), 0o644)
  expect(names()).not.toContain('qemu-system-arm')
})
