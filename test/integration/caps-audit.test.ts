import { utimesSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { EmulatorLane } from '../support/emulator-lane.ts'
import { eventually } from '../support/fault-lane.ts'
import { requireTool } from '../support/require-tool.ts'

const canRun = requireTool('qemu-system-x86') && requireTool('qemu-utils') && requireTool('libvirt-clients')

/** The same three questions as `caps audit` answers, asked of the read models by anybody with SQL; a row is a finding. */
const questions = {
  // The file that a definition was judged beside is not the one that was asked.
  missing: `select d.name from domain_definitions d
    join event e on e.pos = d.from_position
    join emulators c on c.caps_id = d.caps_id
     and c.from_position < d.from_position and (c.to_position is null or c.to_position > d.from_position)
    where (convert_from(e.data, 'UTF8')::json #>> '{emulator,sizeBytes}')::bigint <> c.size_bytes`,
  unjustified: `select dead.caps_id as name from emulators dead
    join emulators next on next.binary_path = dead.binary_path and next.from_position = dead.to_position
    where dead.invalidated_reason = 'emulator_changed' and next.content_sha256 = dead.content_sha256`,
  stale: `select d.name from domain_definitions d
    where not exists (
      select from emulators c
      where c.caps_id = d.caps_id and c.state = 'valid'
        and c.from_position < d.from_position and (c.to_position is null or c.to_position > d.from_position))`,
} as const

/** What CLI and SQL find in the log of a lane. */
async function audited({ lane }: EmulatorLane) {
  const { status, out } = await lane.daemon.cli('caps', 'audit')
  const rows: Record<string, readonly unknown[]> = {}
  for (const [name, question] of Object.entries(questions))
    rows[name] = (await lane.rows(question)).map((row) => row['name'])
  return { status, out, rows }
}

/** Defines a domain whose task takes its version, then waits while the emulator is replaced and asked again. */
async function replaceUnderDefine(emulator: EmulatorLane, name: string): Promise<void> {
  const { lane, binary } = emulator
  await lane.control.holdIntents()
  const task = emulator.define(name)
  try {
    await eventually(async () => (await lane.control.waitingIntents()) === 1, { what: 'the task decided' })
    emulator.replace()
    await lane.done('domcapabilities', '--emulatorbin', binary)
  } finally {
    await lane.control.passIntents()
  }
  await task
}

describe.skipIf(!canRun)('caps audit over the log of a daemon', { timeout: 120_000 }, () => {
  test('finds nothing where a version died of a change, of a request and under a task, and lived through a touch', async () => {
    await using emulator = await EmulatorLane.open([])
    await emulator.define('first')
    emulator.replace()
    await emulator.define('second')
    utimesSync(emulator.binary, new Date(), new Date(0))
    await emulator.define('third')
    await emulator.lane.daemon.cli('caps', 'forget', emulator.binary)
    await emulator.define('fourth')
    await replaceUnderDefine(emulator, 'fifth')
    const { status, out, rows } = await audited(emulator)
    expect(out).toMatch(/3 invalidations, 0 of them unjustified; 5 tasks, 0 wrong uses/)
    expect({ status, rows }).toEqual({ status: 0, rows: { missing: [], unjustified: [], stale: [] } })
    const types = (await emulator.events()).map((event) => event.type)
    expect(types.filter((type) => type === 'EmulatorProbed')).toHaveLength(3)
  })

  test('finds a check that a build skips', async () => {
    await using emulator = await EmulatorLane.open(['emulator-identity-checked'])
    await emulator.define('before')
    emulator.replace()
    await emulator.define('after')
    const { status, out, rows } = await audited(emulator)
    expect(out).toMatch(/^MISSING .*emulator_changed/m)
    expect(out).toContain('DomainDefined')
    expect({ status, rows }).toEqual({ status: 3, rows: { missing: ['after'], unjustified: [], stale: [] } })
  })

  test('finds an invalidation for which there was no reason', async () => {
    await using emulator = await EmulatorLane.open(['content-decides'])
    await emulator.define('before')
    utimesSync(emulator.binary, new Date(), new Date(0))
    await emulator.define('after')
    const { status, out, rows } = await audited(emulator)
    expect(out).toMatch(/^UNJUSTIFIED .*emulator_changed.*found .* again$/m)
    expect(status).toBe(3)
    expect(rows).toEqual({ missing: [], unjustified: [expect.any(String)], stale: [] })
  })

  test('finds a task that went on by a version that had died', async () => {
    await using emulator = await EmulatorLane.open(['version-checked-in-turn'])
    await emulator.define('before')
    await replaceUnderDefine(emulator, 'after')
    const { status, out, rows } = await audited(emulator)
    expect(out).toMatch(/^STALE .*emulator_changed/m)
    expect(status).toBe(3)
    expect(rows).toEqual({ missing: [], unjustified: [], stale: ['after'] })
  })
})
