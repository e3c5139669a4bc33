import { describe, expect, test } from 'vitest'
import { allows } from '../../src/host/file-access.ts'
import { findQemuUser } from '../../src/host/find-qemu-user.ts'
import { readCpuMhz, readHostCpu, readMicrocode } from '../../src/host/host-cpu.ts'
import { readHostUuid } from '../../src/host/host-uuid.ts'
import { KvmAccess, readNestedKvm } from '../../src/host/kvm-access.ts'
import { LocalProcesses, parseProcessStat } from '../../src/host/local-processes.ts'
import { readNodeInfo } from '../../src/host/node-info.ts'
import { parseCpuList } from '../../src/host/parse-cpu-list.ts'
import type { ReadHostText } from '../../src/host/read-host-text.ts'

function filesOf(files: Readonly<Record<string, string>>): ReadHostText {
  return (path) => files[path] ?? null
}

const cpuinfoX86 = `processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Intel(R) Xeon(R) Gold 6154 CPU @ 3.00GHz
stepping\t: 4
microcode\t: 0x2006a08
cpu MHz\t\t: 2999.998

processor\t: 1
vendor_id\t: GenuineIntel
model name\t: another name
microcode\t: 0x1
`
const cpuinfoArm = `processor\t: 0
BogoMIPS\t: 50.00
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c
CPU revision\t: 1
`

describe('readHostCpu()', () => {
  test('keeps of the first CPU what tells models apart', () => {
    const read = filesOf({ '/proc/cpuinfo': cpuinfoX86 })
    expect(readHostCpu(read)).toEqual({
      vendor: 'GenuineIntel',
      name: 'Intel(R) Xeon(R) Gold 6154 CPU @ 3.00GHz',
      family: '6',
      model: '85',
      stepping: '4',
    })
    expect(readMicrocode(read)).toBe('0x2006a08')
    expect(readCpuMhz(read)).toBe(2999)
  })

  test('reads an ARM CPU by its own names, without a microcode', () => {
    const read = filesOf({
      '/proc/cpuinfo': cpuinfoArm,
      '/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq': '2600000\n',
    })
    expect(readHostCpu(read)).toEqual({ vendor: '0x41', name: '', family: '8', model: '0xd0c', stepping: '1' })
    expect(readMicrocode(read)).toBeNull()
    expect(readCpuMhz(read)).toBe(2600)
  })

  test('answers with empty texts where nothing can be read', () => {
    expect(readHostCpu(filesOf({}))).toEqual({ vendor: '', name: '', family: '', model: '', stepping: '' })
  })
})

/** A machine's /sys and /proc by its CPUs: node, socket, core. */
function machineOf(cpus: readonly (readonly [node: number, socket: number, core: number])[]): ReadHostText {
  const files: Record<string, string> = {
    '/proc/cpuinfo': cpuinfoX86,
    '/proc/meminfo': 'MemTotal:       24684092 kB\nMemFree: 1 kB\n',
    '/sys/devices/system/cpu/online': `0-${cpus.length - 1}\n`,
  }
  const nodes = new Map<number, number[]>()
  for (const [cpu, [node, socket, core]] of cpus.entries()) {
    files[`/sys/devices/system/cpu/cpu${cpu}/topology/physical_package_id`] = `${socket}\n`
    files[`/sys/devices/system/cpu/cpu${cpu}/topology/core_id`] = `${core}\n`
    nodes.set(node, [...(nodes.get(node) ?? []), cpu])
  }
  files['/sys/devices/system/node/online'] = `${[...nodes.keys()].join(',')}\n`
  for (const [node, members] of nodes) files[`/sys/devices/system/node/node${node}/cpulist`] = `${members.join(',')}\n`
  return filesOf(files)
}

describe('readNodeInfo()', () => {
  const place = (cpu: number): readonly [number, number, number] => [
    Math.floor(cpu / 4),
    Math.floor(cpu / 4),
    Math.floor(cpu / 2) % 2,
  ]

  test.each([
    [
      'one socket of two cores',
      [
        [0, 0, 0],
        [0, 0, 1],
      ] as const,
      { nodes: 1, sockets: 1, cores: 2, threads: 1 },
    ],
    [
      'two nodes of one socket with two cores of two threads',
      Array.from({ length: 8 }, (_, cpu) => place(cpu)),
      { nodes: 2, sockets: 1, cores: 2, threads: 2 },
    ],
    [
      'an uneven machine',
      [
        [0, 0, 0],
        [0, 0, 0],
        [0, 0, 1],
      ] as const,
      { nodes: 1, sockets: 1, cores: 3, threads: 1 },
    ],
  ])('counts %s', (_what, cpus, shape) => {
    const info = readNodeInfo(machineOf(cpus), 'x86_64')
    expect(info).toEqual({ model: 'x86_64', memoryKib: 24_684_092n, cpus: cpus.length, mhz: 2999, ...shape })
  })

  test('counts one CPU where the kernel tells nothing', () => {
    expect(readNodeInfo(filesOf({}), 's390x')).toEqual({
      model: 's390x',
      memoryKib: 0n,
      cpus: 1,
      mhz: 0,
      nodes: 1,
      sockets: 1,
      cores: 1,
      threads: 1,
    })
  })
})

test.each([
  ['0-3,8,10-11', [0, 1, 2, 3, 8, 10, 11]],
  ['5\n', [5]],
  ['', []],
  ['0-99999999999', Array.from({ length: 8192 }, (_, n) => n)],
])('parseCpuList() reads "%s"', (text, cpus) => {
  expect(parseCpuList(text)).toEqual(cpus)
})

test.each([
  [
    { '/sys/class/dmi/id/product_uuid': '4C4C4544-0033-3610-8052-B4C04F4D3132\n' },
    '4c4c4544-0033-3610-8052-b4c04f4d3132',
  ],
  [
    {
      '/sys/class/dmi/id/product_uuid': '00000000-0000-0000-0000-000000000000',
      '/etc/machine-id': '3d1219c7c4c5404aaa1f6d2a48adfda4\n',
    },
    '3d1219c7-c4c5-404a-aa1f-6d2a48adfda4',
  ],
  [{ '/etc/machine-id': 'uninitialized\n' }, null],
  [{}, null],
])('readHostUuid() takes the first usable source %#', (files, uuid) => {
  expect(readHostUuid(filesOf(files))).toBe(uuid)
})

test.each([
  [{ '/sys/module/kvm_intel/parameters/nested': 'Y\n' }, true],
  [{ '/sys/module/kvm_amd/parameters/nested': '1\n' }, true],
  [{ '/sys/module/kvm_intel/parameters/nested': 'N\n' }, false],
  [{}, false],
])('readNestedKvm() reads the modules %#', (files, nested) => {
  expect(readNestedKvm(filesOf(files))).toBe(nested)
})

describe('allows()', () => {
  const user = { uid: 100, gid: 200 }
  test.each([
    ['the owner', { mode: 0o600n, uid: 100n, gid: 1n }, 'write', true],
    ['an owner without the right, though others have it', { mode: 0o077n, uid: 100n, gid: 200n }, 'read', false],
    ['the group', { mode: 0o660n, uid: 1n, gid: 200n }, 'write', true],
    ['a group that may only read', { mode: 0o640n, uid: 1n, gid: 200n }, 'write', false],
    ['others', { mode: 0o604n, uid: 1n, gid: 1n }, 'read', true],
    ['others without the right', { mode: 0o660n, uid: 1n, gid: 1n }, 'read', false],
    ['a directory that can only be passed through', { mode: 0o711n, uid: 1n, gid: 1n }, 'traverse', true],
    ['a closed directory', { mode: 0o700n, uid: 1n, gid: 1n }, 'traverse', false],
  ] as const)('judges %s', (...[, file, use, allowed]) => {
    expect(allows(file, user, use)).toBe(allowed)
  })

  test('lets root do everything', () => {
    expect(allows({ mode: 0n, uid: 1n, gid: 1n }, { uid: 0, gid: 0 }, 'write')).toBe(true)
  })
})

describe('KvmAccess', () => {
  test('judges a device by its bits for the QEMU user, and a missing one as unusable', () => {
    expect(new KvmAccess({ uid: 12_345, gid: 12_345 }, '/dev/null').usable()).toBe(true)
    expect(new KvmAccess({ uid: 12_345, gid: 12_345 }, '/dev/kmsg').usable()).toBe(false)
    expect(new KvmAccess(null, '/dev/null').usable()).toBe(true)
    expect(new KvmAccess(null, '/dev/absent').usable()).toBe(false)
    expect(new KvmAccess(null, '/etc/passwd').usable()).toBe(false)
  })
})

describe('findQemuUser()', () => {
  const read = filesOf({
    '/etc/passwd':
      'root:x:0:0:root:/root:/bin/sh\nqemu:x:0:0::/:/bin/false\nlibvirt-qemu:x:64055:994:Libvirt Qemu,,,:/var/lib/libvirt:/usr/sbin/nologin\n',
    '/etc/group': 'root:x:0:\nkvm:x:107:somebody\n',
  })

  test('takes the first of the known users, with the group of KVM', () => {
    expect(findQemuUser({ read })).toEqual({ name: 'libvirt-qemu', group: 'kvm', uid: 64_055, gid: 107 })
  })
  test('takes the group of the user where there is none for KVM', () => {
    const withoutGroup: ReadHostText = (path) => (path === '/etc/group' ? '' : read(path))
    expect(findQemuUser({ read: withoutGroup })).toMatchObject({ gid: 994 })
  })
  test('takes nobody with the number of root', () => {
    expect(findQemuUser({ read, names: ['qemu', 'absent'] })).toBeNull()
  })
})

describe('LocalProcesses', () => {
  const boot = { '/proc/sys/kernel/random/boot_id': 'boot-1\n' }
  const stat = (state: string, start = 4242): string =>
    `77 (qemu) x) S (1 2) ${state} 1 77 77 0 -1 4194304 1 0 0 0 31 12 0 0 20 0 3 0 ${start} 1 2 3`

  test('parseProcessStat() is not led astray by the name of the command', () => {
    expect(parseProcessStat(stat('S'))).toEqual({ state: 'S', userTicks: 31n, systemTicks: 12n, startTicks: 4242n })
    expect(parseProcessStat('nonsense')).toBeNull()
  })

  test.each([
    ['S', true, false],
    ['D', true, false],
    ['T', true, true],
    ['t', true, false],
    ['Z', false, false],
    ['X', false, false],
  ])('takes a process of state %s as alive: %s, stopped: %s', (state, alive, stopped) => {
    const processes = new LocalProcesses(filesOf({ ...boot, '/proc/77/stat': stat(state) }))
    const identity = { pid: 77, startTicks: 4242n, bootId: 'boot-1' }
    expect(processes.find(77)).toEqual(alive ? identity : null)
    expect(processes.isAlive(identity)).toBe(alive)
    expect(processes.isStopped(identity)).toBe(stopped)
  })

  test('takes a reused pid and another boot for another process, and signals neither', () => {
    const processes = new LocalProcesses(filesOf({ ...boot, '/proc/77/stat': stat('S') }))
    for (const other of [{ startTicks: 1n }, { bootId: 'boot-0' }, { pid: 78 }]) {
      const identity = { pid: 77, startTicks: 4242n, bootId: 'boot-1', ...other }
      expect(processes.isAlive(identity)).toBe(false)
      expect(processes.usage(identity)).toBeNull()
      expect(processes.signal(identity, 'SIGTERM')).toBe(false)
    }
  })

  test('reads the times and the memory of a process', () => {
    const files = { ...boot, '/proc/77/stat': stat('S'), '/proc/77/status': 'Name:\tqemu\nVmRSS:\t   1024 kB\n' }
    const usage = new LocalProcesses(filesOf(files)).usage({ pid: 77, startTicks: 4242n, bootId: 'boot-1' })
    expect(usage).toEqual({ userTimeNs: 310_000_000n, systemTimeNs: 120_000_000n, residentBytes: 1_048_576n })
  })

  test('knows itself on this machine', () => {
    const processes = new LocalProcesses()
    const self = processes.find(process.pid)
    if (self === null) throw new Error('this process is not found')
    expect(processes.isAlive(self)).toBe(true)
    expect(processes.list()).toContain(process.pid)
    expect(processes.commandLine(process.pid).length).toBeGreaterThan(1)
    expect(processes.executable(process.pid)?.sizeBytes).toBeGreaterThan(1_000_000n)
    expect(processes.executable(4_194_303)).toBeNull()
  })
})
