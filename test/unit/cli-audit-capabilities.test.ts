import { describe, expect, test } from 'vitest'
import {
  auditCapabilities,
  CapabilityAudit,
  type CapabilityReport,
  hasFindings,
} from '../../src/cli/audit-capabilities.ts'
import type { FactOf } from '../../src/events/catalogue.ts'
import { ToldLog } from '../support/told-events.ts'

type Identity = FactOf<'EmulatorProbed'>['data']['identity']
type Invalidation = FactOf<'EmulatorInvalidated'>['data']

const binary = '/usr/bin/qemu-system-x86_64'
const contents = { old: 'a'.repeat(64), new: 'b'.repeat(64) }
const identity: Identity = {
  resolvedPath: binary,
  device: 1n,
  inode: 10n,
  sizeBytes: 1000n,
  ctimeNs: 5n,
  sha256: contents.old,
  executablePath: binary,
  kvmUsable: true,
  moduleDirectory: '/usr/lib/qemu',
  moduleDirectoryMtimeNs: 77n,
  kernel: '6.1.0-37',
  microcode: '0x1',
  hostCpu: 'GenuineIntel 6/143/8 Xeon',
  nestedKvm: false,
  uid: 64055,
  gid: 107,
  executable: null,
  daemonBuild: '1.0',
  cpuid: 'e'.repeat(64),
  secureGuest: 'none',
  firmware: 'f'.repeat(64),
}

/** A history of one emulator, told step by step. */
class Story extends ToldLog {
  #commands = 0

  command(): string {
    return `command-${++this.#commands}`
  }

  probed(capsId: string, changes: Partial<Identity> = {}, commandId = this.command()): this {
    const texts = { documentSha256: 'c'.repeat(64), conversationSha256: 'd'.repeat(64) }
    const about = { binary, arch: 'x86_64', emulatorVersion: 7_002_000, package: '', durationMs: 200 }
    this.add('EmulatorProbed', { capsId, ...about, ...texts, identity: { ...identity, ...changes } }, { commandId })
    return this
  }

  reprobed(capsId: string, changes: Partial<Identity> = {}, commandId = this.command()): this {
    const data = { capsId, binary, durationMs: 200, identity: { ...identity, ...changes } }
    this.add('EmulatorReprobed', data, { commandId })
    return this
  }

  host(changes: Partial<FactOf<'HostFactsObserved'>['data']> = {}): this {
    const file = { binary, inode: identity.inode, sizeBytes: identity.sizeBytes, ctimeNs: identity.ctimeNs }
    this.add('HostFactsObserved', {
      kernel: identity.kernel,
      microcode: identity.microcode,
      hostCpu: 'GenuineIntel 6 143 8 Xeon',
      nestedKvm: false,
      kvmUsable: true,
      daemonBuild: identity.daemonBuild,
      cpuid: identity.cpuid,
      secureGuest: identity.secureGuest,
      firmware: identity.firmware,
      emulators: [file],
      ...changes,
    })
    return this
  }

  invalidated(capsId: string, found: Pick<Invalidation, 'reason' | 'was' | 'is'>, commandId = this.command()): this {
    this.add('EmulatorInvalidated', { capsId, binary, ...found, detectedBy: 'DOMAIN_CREATE' }, { commandId })
    return this
  }

  starts(capsId: string, seen: Partial<Identity> = {}, commandId = this.command()): this {
    const { inode, sizeBytes, ctimeNs } = { ...identity, ...seen }
    const emulator = { binary, inode, sizeBytes, ctimeNs }
    const run = { name: 'web', domainId: 1, definitionSha256: contents.old, capsId, emulator, paused: false }
    const rest = { vncPorts: [], owners: [], cause: 'request' as const }
    this.add('DomainStartRequested', { ...run, ...rest }, { commandId, capsId, procedure: 'DOMAIN_CREATE' })
    return this
  }

  report(): CapabilityReport {
    return auditCapabilities(this.audited(), { hostArch: 'x86_64' })
  }
}

const replaced = { inode: 11n, sizeBytes: 1200n, ctimeNs: 9n, sha256: contents.new }
const changedBinary = {
  reason: 'emulator_changed',
  was: `${binary} inode 10 size 1000 ctime 5 sha256 ${contents.old}`,
  is: `${binary} inode 11 size 1200 ctime 9 sha256 ${contents.new}`,
} as const
const changedKernel = { reason: 'kernel_changed', was: identity.kernel, is: '6.1.0-38' } as const

describe('auditCapabilities() finds nothing', () => {
  test('where a version is used as long as nothing changes, over restarts of the daemon', () => {
    const report = new Story().host().probed('v1').starts('v1').host().starts('v1').report()
    expect(report).toMatchObject({ invalidations: [], misuses: [], taskCount: 2 })
    expect(hasFindings(report)).toBe(false)
  })

  test('where a replaced binary is noticed, probed again and then used', () => {
    const report = new Story()
      .probed('v1')
      .invalidated('v1', changedBinary, 'task')
      .probed('v2', replaced, 'task')
      .starts('v2', replaced)
      .report()
    expect(report.invalidations).toMatchObject([{ reason: 'emulator_changed', verdict: { justified: true } }])
    expect(report.misuses).toEqual([])
  })

  test('where an operator asked, and the same version came back', () => {
    const asked = { reason: 'operator_request', was: 'v1', is: 'forgotten' } as const
    const report = new Story().probed('v1').invalidated('v1', asked).reprobed('v1').starts('v1').report()
    expect(hasFindings(report)).toBe(false)
  })

  test('where a file was only touched, as a later invalidation shows by its content', () => {
    const touched = { ctimeNs: 6n }
    const report = new Story().probed('v1').starts('v1', touched).reprobed('v1', touched).report()
    expect(report.misuses).toEqual([])
  })

  test('where KVM went and came back before the next probe, by another task', () => {
    const gone = { reason: 'kvm_gone', was: 'usable: yes', is: 'usable: no' } as const
    const report = new Story().probed('v1').invalidated('v1', gone).reprobed('v1').starts('v1').report()
    expect(hasFindings(report)).toBe(false)
  })

  test('where the host changed for an emulator that uses no accelerator', () => {
    const story = new Story()
      .probed('v1', { kvmUsable: false })
      .host({ kvmUsable: false, kernel: 'other', microcode: null })
    expect(story.starts('v1').report().misuses).toEqual([])
  })

  test('where a version was invalidated after a task had begun to act by it', () => {
    const story = new Story().probed('v1').starts('v1', {}, 'task').invalidated('v1', changedBinary)
    story.add('DomainSuspended', { cause: 'request' }, { commandId: 'task', capsId: 'v1' })
    expect(story.report().misuses).toEqual([])
  })
})

describe('auditCapabilities() finds the fault of a build', () => {
  test('that skips the check of the binary: facts differed, and the version was still used', () => {
    const report = new Story().probed('v1').starts('v1').starts('v1', replaced, 'bad').report()
    expect(report.misuses).toMatchObject([
      {
        kind: 'missing',
        capsId: 'v1',
        difference: { reason: 'emulator_changed', was: 'inode 10 size 1000 ctime 5', is: 'inode 11 size 1200 ctime 9' },
        tasks: [{ commandId: 'bad', type: 'DomainStartRequested', procedure: 'DOMAIN_CREATE', position: 2n }],
        taskCount: 1,
      },
    ])
    expect(hasFindings(report)).toBe(true)
  })

  test.each([
    ['the kernel', { kernel: '6.1.0-38' }, 'kernel_changed'],
    ['the microcode', { microcode: '0x2' }, 'microcode_changed'],
    ['the CPU', { hostCpu: 'GenuineIntel 6 143 9 Xeon' }, 'host_cpu_changed'],
    ['nested KVM', { nestedKvm: true }, 'nested_kvm_changed'],
    ['/dev/kvm', { kvmUsable: false }, 'kvm_gone'],
    ['its own build', { daemonBuild: '1.1' }, 'daemon_changed'],
    ['CPUID', { cpuid: 'd'.repeat(64) }, 'cpuid_changed'],
    ['secure guests', { secureGuest: 'kvm_amd.sev=Y' }, 'secure_guest_changed'],
    ['the firmware', { firmware: 'e'.repeat(64) }, 'firmware_descriptors_changed'],
  ])('that skips the check of %s after a restart', (_what, changes, reason) => {
    const report = new Story().probed('v1').host(changes).starts('v1').starts('v1').report()
    expect(report.misuses).toMatchObject([{ kind: 'missing', difference: { reason }, taskCount: 2 }])
  })

  test('that skips the check of a file whose size stayed: its content decides, when it is known', () => {
    const swapped = { inode: 11n, ctimeNs: 9n }
    const story = new Story().probed('v1').starts('v1', swapped)
    expect(story.report()).toMatchObject({ misuses: [{ kind: 'unproven' }] })
    expect(hasFindings(story.report())).toBe(false)
    const audit = new CapabilityAudit({ hostArch: 'x86_64' })
    for (const event of story.audited()) audit.take(event)
    audit.contents.learn(binary, { ...identity, ...swapped, sha256: contents.new })
    expect(audit.report()).toMatchObject({ misuses: [{ kind: 'missing' }] })
    audit.contents.learn(binary, { ...identity, ...swapped, sha256: contents.old })
    expect(audit.report().misuses).toEqual([])
  })

  test.each([
    ['daemon_changed', { daemonBuild: '1.1' }, ['1.0', '1.1']],
    ['cpuid_changed', { cpuid: 'd'.repeat(64) }, ['e'.repeat(64), 'd'.repeat(64)]],
    ['secure_guest_changed', { secureGuest: '/dev/sev' }, ['none', '/dev/sev']],
    ['firmware_descriptors_changed', { firmware: 'e'.repeat(64) }, ['f'.repeat(64), 'e'.repeat(64)]],
  ] as const)('that invalidates for %s where the next probe finds the same again', (reason, changes, [was, is]) => {
    const told = (after: Partial<Identity>) =>
      new Story().probed('v1').invalidated('v1', { reason, was, is }, 'task').probed('v2', after, 'task').report()
    expect(told({}).invalidations).toMatchObject([{ verdict: { justified: false } }])
    expect(told(changes).invalidations).toMatchObject([{ verdict: { justified: true } }])
    const wrong = new Story().probed('v1').invalidated('v1', { reason, was: 'another', is }).report()
    expect(wrong.invalidations).toMatchObject([{ verdict: { justified: false } }])
  })

  test('that uses a version which was invalidated', () => {
    const report = new Story().probed('v1').invalidated('v1', changedBinary).starts('v1', replaced, 'late').report()
    expect(report.misuses).toMatchObject([
      { kind: 'stale', difference: { reason: 'emulator_changed' }, tasks: [{ commandId: 'late' }] },
    ])
  })

  test('that goes on with the version before the latest', () => {
    const report = new Story().probed('v1').probed('v2', replaced).starts('v1').report()
    expect(report.misuses).toMatchObject([{ kind: 'stale', capsId: 'v1' }])
  })

  test('that makes up a version', () => {
    expect(new Story().probed('v1').starts('v9').report().misuses).toMatchObject([{ kind: 'unknown', capsId: 'v9' }])
  })

  test.each([
    [
      'compares equal values',
      { reason: 'kernel_changed', was: identity.kernel, is: identity.kernel },
      'nothing differed',
    ],
    [
      'compares with what was never recorded',
      { reason: 'microcode_changed', was: '0x9', is: '0x2' },
      'recorded was "0x1"',
    ],
  ] as const)('that %s and throws a good version away', (_what, found, why) => {
    const { invalidations } = new Story().probed('v1').invalidated('v1', found).report()
    expect(invalidations).toMatchObject([{ verdict: { justified: false, why: expect.stringContaining(why) } }])
  })

  test('that throws a version away for a kernel which the start of the daemon had shown unchanged', () => {
    const { invalidations } = new Story().probed('v1').host().invalidated('v1', changedKernel).report()
    expect(invalidations).toMatchObject([{ verdict: { justified: false } }])
  })

  test('that throws a version away, though its own next probe finds the same', () => {
    const report = new Story().probed('v1').invalidated('v1', changedBinary, 'task').reprobed('v1', {}, 'task').report()
    expect(report.invalidations).toMatchObject([
      { verdict: { justified: false, why: expect.stringContaining('the probe that followed') } },
    ])
    expect(hasFindings(report)).toBe(true)
  })

  test('that throws a version away twice', () => {
    const { invalidations } = new Story()
      .probed('v1')
      .invalidated('v1', changedBinary)
      .invalidated('v1', changedBinary)
      .report()
    expect(invalidations.map((one) => one.verdict.justified)).toEqual([true, false])
  })
})
