import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { EmulatorIdentity } from '../../src/driver/emulator-probe.ts'
import type { HostFacts } from '../../src/driver/host-facts.ts'
import { EmulatorIdentities, isNative } from '../../src/qemu/emulator-identities.ts'
import { FileHashes } from '../../src/qemu/file-hashes.ts'

interface Machine {
  kernel: string
  microcode: string | null
  stepping: string
  nested: boolean
  kvm: boolean
}

let directory: string
let machine: Machine
let binary: string
let modules: string

function hostOf(state: Machine): HostFacts {
  const unused = (): never => {
    throw new Error('a check reads only what it compares')
  }
  return {
    kernel: () => state.kernel,
    microcode: () => state.microcode,
    cpu: () => ({ vendor: 'AuthenticAMD', name: 'AMD EPYC', family: '25', model: '1', stepping: state.stepping }),
    nestedKvm: () => state.nested,
    kvmUsable: () => state.kvm,
    nodeInfo: unused,
    hostname: unused,
    uuid: unused,
  }
}

function identities({ uid = 64055, gid = 107 } = {}): EmulatorIdentities {
  return new EmulatorIdentities({
    host: hostOf(machine),
    hashes: new FileHashes(),
    user: { uid, gid },
    moduleDirectories: [modules],
  })
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'identities-'))
  machine = { kernel: '6.1 #1', microcode: '0x1', stepping: '1', nested: false, kvm: true }
  modules = join(directory, 'modules')
  mkdirSync(modules)
  binary = join(directory, 'qemu-system-x86_64')
  writeFileSync(join(directory, 'real'), 'the first build')
  symlinkSync('real', binary)
})
afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

describe('EmulatorIdentities.check()', () => {
  function recorded(): EmulatorIdentity {
    return identities().read(binary, join(directory, 'real'))
  }

  test('finds nothing when nothing changed', () => {
    const before = recorded()
    expect(before).toMatchObject({
      resolvedPath: join(directory, 'real'),
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    expect(identities().check(binary, before)).toBeNull()
  })

  test('lets the content decide: a chmod or the same bytes again are no change', () => {
    const before = recorded()
    chmodSync(join(directory, 'real'), 0o755)
    expect(identities().check(binary, before)).toBeNull()
    writeFileSync(join(directory, 'again'), 'the first build')
    renameSync(join(directory, 'again'), join(directory, 'real'))
    expect(identities().check(binary, before)).toBeNull()
  })

  const changes: readonly (readonly [reason: string, change: () => void])[] = [
    ['module_directory_unreadable', () => rmSync(modules, { recursive: true })],
    ['module_directory_changed', () => utimesSync(modules, 1, 1)],
    ['emulator_missing', () => rmSync(join(directory, 'real'))],
    ['emulator_changed', () => writeFileSync(join(directory, 'real'), 'another build')],
    ['kvm_gone', () => Object.assign(machine, { kvm: false })],
    ['host_cpu_changed', () => Object.assign(machine, { stepping: '2' })],
    ['microcode_changed', () => Object.assign(machine, { microcode: '0x2' })],
    ['kernel_changed', () => Object.assign(machine, { kernel: '6.2 #1' })],
    ['nested_kvm_changed', () => Object.assign(machine, { nested: true })],
  ]

  test.each(changes)('says %s, and with what', (reason, change) => {
    const before = recorded()
    change()
    const found = identities().check(binary, before)
    expect(found?.reason).toBe(reason)
    expect(found?.was).not.toBe(found?.is)
  })

  test('says emulator_changed when the link leads elsewhere', () => {
    const before = recorded()
    writeFileSync(join(directory, 'other'), 'the other build')
    rmSync(binary)
    symlinkSync('other', binary)
    expect(identities().check(binary, before)).toMatchObject({
      reason: 'emulator_changed',
      is: expect.stringContaining('other'),
    })
  })

  test('says kvm_appeared, and then does not care for the CPU it could not use before', () => {
    machine.kvm = false
    const before = recorded()
    machine.stepping = '9'
    expect(identities().check(binary, before)).toBeNull()
    machine.kvm = true
    expect(identities().check(binary, before)?.reason).toBe('kvm_appeared')
  })

  test('says probe_environment_changed when QEMU runs as another user', () => {
    expect(identities({ uid: 64056 }).check(binary, recorded())).toEqual({
      reason: 'probe_environment_changed',
      was: 'uid 64055, gid 107',
      is: 'uid 64056, gid 107',
    })
  })

  test('names the first reason of the closed list when several hold', () => {
    const before = recorded()
    machine.kernel = '6.2 #1'
    rmSync(join(directory, 'real'))
    utimesSync(modules, 1, 1)
    expect(identities().check(binary, before)?.reason).toBe('module_directory_changed')
  })

  test('sees a change behind a wrapper script', () => {
    const wrapper = join(directory, 'wrapper')
    writeFileSync(wrapper, '#!/bin/sh')
    const before = identities().read(wrapper, join(directory, 'real'))
    expect(identities().check(wrapper, before)).toBeNull()
    writeFileSync(join(directory, 'real'), 'another build')
    expect(identities().check(wrapper, before)?.reason).toBe('emulator_changed')
  })
})

describe('EmulatorIdentities.checkExecutable()', () => {
  test('takes the recorded program by its stat, and by its content, and refuses another', () => {
    const own = identities().read(process.execPath, process.execPath)
    const pid = process.pid
    const running = {
      path: process.execPath,
      device: own.device,
      inode: own.inode,
      sizeBytes: own.sizeBytes,
      ctimeNs: own.ctimeNs,
    }
    expect(() => identities().checkExecutable(running, { pid, recorded: own })).not.toThrow()
    const touched = { ...own, ctimeNs: 1n }
    expect(() => identities().checkExecutable(running, { pid, recorded: touched })).not.toThrow()
    const other = { ...touched, sha256: 'f'.repeat(64) }
    expect(() => identities().checkExecutable(running, { pid, recorded: other })).toThrow(/other content/)
    expect(() => identities().checkExecutable(null, { pid, recorded: own })).toThrow(/it is gone/)
  })
})

test.each([
  ['/usr/bin/qemu-system-x86_64', 'x86_64', true],
  ['/usr/bin/qemu-system-i386', 'x86_64', true],
  ['/usr/bin/qemu-system-aarch64', 'x86_64', false],
  ['/usr/bin/qemu-system-aarch64', 'aarch64', true],
  ['/usr/libexec/qemu-kvm', 'aarch64', true],
])('isNative() judges %s on %s', (path, arch, native) => {
  expect(isNative(path, arch)).toBe(native)
})
