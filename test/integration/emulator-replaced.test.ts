import { rmSync, utimesSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { EmulatorLane } from '../support/emulator-lane.ts'
import type { GuardName } from '../support/guards.ts'
import { requireTool } from '../support/require-tool.ts'

const canRun = requireTool('qemu-system-x86') && requireTool('qemu-utils') && requireTool('libvirt-clients')

/** Replaces the emulator at a moment and throws where the next use does not notice it. */
async function replaceWhile(daemon: 'running' | 'stopped', guardsOff: readonly GuardName[]): Promise<void> {
  await using emulator = await EmulatorLane.open(guardsOff)
  const { lane } = emulator
  await emulator.define('before')
  await lane.done('start', 'before')
  if (daemon === 'stopped') await lane.daemon.stop()
  emulator.replace()
  if (daemon === 'stopped') await lane.daemon.start()
  await emulator.define('after')
  const events = await emulator.events()
  const types = events.map((event) => event.type)
  const invalidated = events.find((event) => event.type === 'EmulatorInvalidated')
  if (invalidated === undefined)
    throw new Error(`The emulator was replaced, and its capabilities are still trusted: ${types.join(', ')}`)
  expect(types).toEqual(['EmulatorProbed', 'EmulatorInvalidated', 'EmulatorProbed'])
  expect(invalidated.data).toMatch(/"reason":"emulator_changed"/)
  expect(invalidated.data).toMatch(/"was":"[^"]+"/)
  expect(invalidated.data).toMatch(/"is":"[^"]+"/)
  const told = await lane.daemon.cli('caps', 'invalidations')
  expect(told.out).toContain('emulator_changed')
  expect(told.out, 'the domain started against the dead version is named').toContain('before')
  expect(told.out).not.toContain('after')
  // The domain that runs on the old file goes on; the next start takes the new one.
  expect(await lane.done('domstate', 'before')).toContain('running')
  await lane.done('destroy', 'before')
  await lane.done('start', 'before')
}

describe.skipIf(!canRun)('an emulator replaced', { timeout: 120_000 }, () => {
  test('while the daemon runs is EmulatorInvalidated, with reason, both values and the domains that depended on it', async () => {
    await replaceWhile('running', [])
  })

  test('while the daemon is stopped is noticed by the next one', async () => {
    await replaceWhile('stopped', [])
  })

  test('would go on being trusted without guard emulator-identity-checked', async () => {
    await expect(replaceWhile('running', ['emulator-identity-checked'])).rejects.toThrow('still trusted')
  })

  test('by the same file with another time is asked again and keeps its version', async () => {
    await using emulator = await EmulatorLane.open([])
    await emulator.define('one')
    utimesSync(emulator.binary, new Date(), new Date(0))
    await emulator.define('two')
    const types = (await emulator.events()).map((event) => event.type)
    expect(types.filter((type) => type === 'EmulatorProbed')).toHaveLength(1)
  })

  test('by nothing is refused by name, and works again when it is back', async () => {
    await using emulator = await EmulatorLane.open([])
    const { lane, binary } = emulator
    await emulator.define('one')
    rmSync(binary)
    const refused = await lane.virsh('start', 'one')
    expect(refused.status).not.toBe(0)
    expect(refused.err).toContain(binary)
    emulator.replace()
    await lane.done('start', 'one')
  })
})
