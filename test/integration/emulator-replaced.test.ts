import {
  copyFileSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  appendFileSync,
  writeFileSync,
  utimesSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { copyGuestDisk, FaultLane, guestXml } from '../support/fault-lane.ts'
import type { GuardName } from '../support/guards.ts'
import { requireTool } from '../support/require-tool.ts'

const canRun = requireTool('qemu-system-x86') && requireTool('qemu-utils') && requireTool('libvirt-clients')

/** A lane with a QEMU of its own, which can be replaced; it finds its firmware as the installed one does. */
class EmulatorLane implements AsyncDisposable {
  readonly lane: FaultLane
  readonly binary: string

  constructor(lane: FaultLane) {
    this.lane = lane
    mkdirSync(lane.image('bin'), { mode: 0o755 })
    symlinkSync('/usr/share', lane.image('share'))
    symlinkSync('/usr/lib', lane.image('lib'))
    this.binary = join(lane.image('bin'), 'qemu-system-x86_64')
    copyFileSync('/usr/bin/qemu-system-x86_64', this.binary)
  }

  static async open(guardsOff: readonly GuardName[]): Promise<EmulatorLane> {
    return new EmulatorLane(await FaultLane.open({ guardsOff }))
  }

  async define(name: string): Promise<void> {
    const { lane, binary } = this
    await copyGuestDisk(lane.image('template.qcow2'), lane.image(`${name}.qcow2`))
    writeFileSync(lane.image(`${name}.xml`), guestXml(name, { vda: lane.image(`${name}.qcow2`) }, { emulator: binary }))
    await lane.done('define', lane.image(`${name}.xml`))
  }

  /** An upgrade as packages do it: another file under the same name. */
  replace(): void {
    copyFileSync('/usr/bin/qemu-system-x86_64', `${this.binary}.new`)
    appendFileSync(`${this.binary}.new`, 'another build')
    renameSync(`${this.binary}.new`, this.binary)
  }

  /** Types and data of the events about this emulator, in order. */
  async events(): Promise<readonly { readonly type: string; readonly data: string }[]> {
    const rows = await this.lane.rows(
      `select t.name, convert_from(e.data, 'UTF8') as data from event e join event_type t using (type_id)
       where t.name like 'Emulator%' and convert_from(e.data, 'UTF8') like $1 order by e.pos`,
      [`%"${this.binary}"%`],
    )
    return rows.map((row) => ({ type: String(row['name']), data: String(row['data']) }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lane[Symbol.asyncDispose]()
  }
}

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

/** What `caps audit` says of a log in which a domain was defined after its emulator was replaced. */
async function auditAfterReplacement(guardsOff: readonly GuardName[]) {
  await using emulator = await EmulatorLane.open(guardsOff)
  await emulator.define('before')
  emulator.replace()
  await emulator.define('after')
  return await emulator.lane.daemon.cli('caps', 'audit')
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

  test('is what caps audit finds in a build that skips the check, and in no other', async () => {
    expect(await auditAfterReplacement([])).toMatchObject({ status: 0 })
    const skipped = await auditAfterReplacement(['emulator-identity-checked'])
    expect(skipped.status).toBe(3)
    expect(skipped.out).toMatch(/missing/i)
    expect(skipped.out).toContain('DomainDefined')
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
