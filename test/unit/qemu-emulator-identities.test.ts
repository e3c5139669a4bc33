import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { EmulatorIdentity } from '../../src/driver/emulator-probe.ts'
import type { ExecutableFile, HostFacts } from '../../src/driver/host-facts.ts'
import { EmulatorIdentities, isNative } from '../../src/qemu/emulator-identities.ts'
import { FileHashes } from '../../src/qemu/file-hashes.ts'

interface Machine {
  kernel: string
  microcode: string | null
  stepping: string
  nested: boolean
  kvm: boolean
  cpuid: string | null
  secure: string
  firmware: string
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
    cpuid: () => state.cpuid,
    secureGuest: () => state.secure,
    firmware: () => state.firmware,
    nodeInfo: unused,
    hostname: unused,
    uuid: unused,
  }
}

function executableFile(path: string): ExecutableFile {
  const { dev: device, ino: inode, size: sizeBytes, ctimeNs } = statSync(path, { bigint: true })
  return { path, device, inode, sizeBytes, ctimeNs }
}

function identities({ uid = 64055, gid = 107, build = '1.0' } = {}): EmulatorIdentities {
  return new EmulatorIdentities({
    host: hostOf(machine),
    hashes: new FileHashes(),
    user: { uid, gid },
    build,
    moduleDirectories: [modules],
  })
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'identities-'))
  machine = {
    kernel: '6.1 #1',
    microcode: '0x1',
    stepping: '1',
    nested: false,
    kvm: true,
    cpuid: 'c',
    secure: 'none',
    firmware: 'f',
  }
  modules = join(directory, 'modules')
  mkdirSync(modules)
  binary = join(directory, 'qemu-system-x86_64')
  writeFileSync(join(directory, 'real'), 'the first build', { mode: 0o755 })
  symlinkSync('real', binary)
})
afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

describe('EmulatorIdentities.check()', () => {
  function recorded(): EmulatorIdentity {
    return identities().read(binary)
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
    writeFileSync(join(directory, 'again'), 'the first build', { mode: 0o700 })
    renameSync(join(directory, 'again'), join(directory, 'real'))
    expect(identities().check(binary, before)).toBeNull()
  })

  test('recall() saves reading a file again that still has its stat, and no other', () => {
    const before = recorded()
    const later = identities()
    later.recall({ ...before, sha256: 'a'.repeat(64) })
    expect(later.read(binary).sha256).toBe('a'.repeat(64))
    writeFileSync(join(directory, 'real'), 'another build')
    expect(later.read(binary).sha256).toBe(recorded().sha256)
    const behindWrapper = identities()
    behindWrapper.recall({ ...recorded(), sha256: 'b'.repeat(64), executablePath: '/usr/bin/other' })
    expect(behindWrapper.read(binary).sha256).toBe(recorded().sha256)
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
    ['cpuid_changed', () => Object.assign(machine, { cpuid: 'd' })],
    ['nested_kvm_changed', () => Object.assign(machine, { nested: true })],
    ['secure_guest_changed', () => Object.assign(machine, { secure: 'kvm_amd.sev=Y' })],
    ['firmware_descriptors_changed', () => Object.assign(machine, { firmware: 'g' })],
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
    writeFileSync(join(directory, 'other'), 'the other build', { mode: 0o755 })
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

  test('says daemon_changed when another build asks, or when none was recorded', () => {
    const before = recorded()
    expect(identities({ build: '1.1' }).check(binary, before)).toEqual({
      reason: 'daemon_changed',
      was: '1.0',
      is: '1.1',
    })
    expect(identities().check(binary, { ...before, daemonBuild: null })).toMatchObject({ was: 'not recorded' })
  })

  test('compares nothing that was not recorded or cannot be read', () => {
    const before = { ...recorded(), cpuid: null, secureGuest: null, firmware: null }
    Object.assign(machine, { cpuid: 'd', secure: 'kvm_amd.sev=Y', firmware: 'g' })
    expect(identities().check(binary, before)).toBeNull()
    machine.cpuid = null
    expect(identities().check(binary, { ...before, cpuid: 'c' })).toBeNull()
  })

  test.each([
    ['a directory', (path: string) => mkdirSync(path), /it is a directory/],
    ['a pipe, without waiting for it', (path: string) => execFileSync('mkfifo', [path]), /no regular file/],
    ['not executable', (path: string) => writeFileSync(path, '', { mode: 0o644 }), /not executable/],
  ])('read() refuses %s', (_what, make, message) => {
    const path = join(directory, 'odd')
    make(path)
    expect(() => identities().read(path)).toThrow(message)
  })

  test('sees that the file became a pipe', () => {
    const before = recorded()
    rmSync(join(directory, 'real'))
    execFileSync('mkfifo', [join(directory, 'real')])
    expect(identities().check(binary, before)).toMatchObject({
      reason: 'emulator_missing',
      is: 'it is no regular file',
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
    writeFileSync(wrapper, '#!/bin/sh', { mode: 0o755 })
    const before = identities().read(wrapper, executableFile(join(directory, 'real')))
    expect(identities().check(wrapper, before)).toBeNull()
    writeFileSync(join(directory, 'real'), 'another build')
    expect(identities().check(wrapper, before)?.reason).toBe('emulator_changed')
  })
})

describe('EmulatorIdentities.checkExecutable()', () => {
  test('takes the recorded program by its stat, and by its content, and refuses another', () => {
    const own = identities().read(process.execPath)
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
