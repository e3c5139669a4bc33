import { chmodSync, copyFileSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { capsInvalidationsCommand } from '../../src/cli/caps-invalidations-command.ts'
import { History } from '../../src/cli/history.ts'
import { invalidationReasons, type InvalidationReason } from '../../src/driver/emulator-probe.ts'
import type { CapsKit } from '../support/caps-kit.ts'
import { capsKitPerTest } from '../support/caps-kit-per-test.ts'
import { runCli } from '../support/cli-run.ts'
import { requireTool } from '../support/require-tool.ts'

const present = requireTool('qemu-system')

describe.skipIf(!present)('a capability version dies of', () => {
  let kit: CapsKit
  /** A link with the name of a native emulator to a file of ours. */
  let binary: string
  let target: string

  capsKitPerTest((opened) => {
    kit = opened
  })
  beforeEach(() => {
    target = join(kit.directory, 'the-emulator')
    copyFileSync('/usr/bin/qemu-system-avr', target)
    binary = join(kit.directory, 'qemu-system-x86_64')
    symlinkSync(target, binary)
  })

  /** Another file of the same size in its place, in the same second and with the same modification time. */
  function replaceTarget(path: string): void {
    copyFileSync('/usr/bin/qemu-system-avr', `${path}.new`)
    const text = Buffer.alloc(1, 'x')
    writeFileSync(`${path}.new`, text, { flag: 'a' })
    chmodSync(`${path}.new`, 0o755)
    renameSync(`${path}.new`, path)
  }

  const causes: Readonly<Record<InvalidationReason, () => void | Promise<unknown>>> = {
    module_directory_unreadable: () => rmSync(kit.modules, { recursive: true }),
    module_directory_changed: () => writeFileSync(join(kit.modules, 'block-new.so'), ''),
    daemon_changed: () => restartWith({ version: '2' }),
    emulator_missing: () => rmSync(target),
    emulator_changed: () => replaceTarget(target),
    kvm_appeared: () => void (kit.machine.kvm = true),
    kvm_gone: () => void (kit.machine.kvm = false),
    host_cpu_changed: () => void (kit.machine.stepping = '2'),
    microcode_changed: () => void (kit.machine.microcode = '0x2'),
    kernel_changed: () => void (kit.machine.kernel = '6.2 #1'),
    cpuid_changed: () => void (kit.machine.cpuid = 'd'.repeat(64)),
    nested_kvm_changed: () => void (kit.machine.nested = true),
    secure_guest_changed: () => void (kit.machine.secureGuest = 'kvm_amd.sev=Y, /dev/sev'),
    cache_unreadable: () => unreadable(),
    firmware_descriptors_changed: () => writeFileSync(join(kit.firmware, '60-own.json'), '{}'),
    probe_environment_changed: () => restartWith({ uid: 12345 }),
    operator_request: async () =>
      await kit.caps.invalidate((await kit.look(binary)).facts, {
        stale: { reason: 'operator_request', was: 'it', is: 'forgotten' },
        detectedBy: 'CAPS_FORGET',
        context: kit.context(),
      }),
  }

  function restartWith(change: Parameters<CapsKit['newDriver']>[0]): void {
    kit.driver = kit.newDriver(change)
    kit.caps = kit.newCache()
  }

  /** A version whose document a newer daemon wrote, in a form that this one does not know. */
  async function unreadable(): Promise<void> {
    const [probed] = (await kit.facts('EmulatorProbed')).map(({ data }) => data)
    if (probed === undefined) throw new Error('nothing was probed')
    const document = await kit.textOf(probed.documentSha256)
    await kit.probedAs(probed, document.replace('"form":2', '"form":3'))
    kit.caps = kit.newCache()
  }

  test.each(invalidationReasons)('%s, which CLI and SQL tell with both values', async (reason) => {
    kit.machine.kvm = reason !== 'kvm_appeared'
    await kit.look(binary)
    await causes[reason]()
    await (reason === 'emulator_missing' ? expect(kit.look(binary)).rejects.toThrow() : kit.look(binary))
    await using history = new History(kit.address)
    const rows = await history.rows<{ reason: string; was: string; is: string }>(
      `select invalidated_reason as reason, invalidated_was as was, invalidated_is as is from emulators
        where state = 'invalidated' order by from_position`,
    )
    expect(rows.map((row) => row.reason)).toEqual([reason])
    expect(rows[0]?.was).not.toBe(rows[0]?.is)
    const database = `postgres://log@localhost/${kit.address.database}?host=${encodeURIComponent(kit.address.host ?? '')}`
    const told = await runCli(
      capsInvalidationsCommand,
      { database, socketDir: '/nonexistent' },
      { options: { json: true } },
    )
    expect(JSON.parse(told.text)).toMatchObject([{ binary, reason, was: rows[0]?.was, is: rows[0]?.is }])
    // What was found once is not found again.
    if (reason !== 'emulator_missing') await kit.look(binary)
    expect(await kit.facts('EmulatorInvalidated')).toHaveLength(1)
  })

  test('a changed program behind a wrapper script, though nobody touched the script', async () => {
    const wrapper = kit.script('qemu-system-wrapped', target)
    const before = await kit.look(wrapper)
    expect(before.identity.executablePath).toBe(target)
    replaceTarget(target)
    const after = await kit.look(wrapper)
    expect(await kit.facts('EmulatorInvalidated')).toMatchObject([{ data: { reason: 'emulator_changed' } }])
    expect(after.facts.capsId).not.toBe(before.facts.capsId)
  })

  test('a change of content that changed back, as the same version again', async () => {
    const before = await kit.look(binary)
    kit.machine.kernel = '6.2 #1'
    const after = await kit.look(binary)
    expect(after.facts.capsId).toBe(before.facts.capsId)
    expect(await kit.facts('EmulatorReprobed')).toHaveLength(1)
  })

  test('nothing at all when the file is only touched: no process is started', async () => {
    const wrapper = kit.script('qemu-system-touched', target)
    await kit.look(wrapper)
    chmodSync(target, 0o700)
    chmodSync(target, 0o755)
    utimesSync(target, 1, 1)
    await kit.look(wrapper)
    expect(kit.starts('qemu-system-touched')).toBe(1)
    expect(await kit.facts('EmulatorInvalidated')).toEqual([])
  })
})
