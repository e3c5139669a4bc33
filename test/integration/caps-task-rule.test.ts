import { describe, expect, test } from 'vitest'
import type { CrashPoint } from '../../src/commands/crash-points.ts'
import type { Captured } from '../support/capture.ts'
import { EmulatorLane } from '../support/emulator-lane.ts'
import { eventually } from '../support/fault-lane.ts'
import { requireTool } from '../support/require-tool.ts'

const canRun = requireTool('qemu-system-x86') && requireTool('qemu-utils') && requireTool('libvirt-clients')

/** Where a start stands while its emulator is replaced, and whether it can still become one of the new version, or must end. */
const steps: readonly (readonly [CrashPoint | 'intent', 'replaced' | 'replaced and asked', 'starts' | 'fails'])[] = [
  ['intent', 'replaced', 'fails'],
  ['intent', 'replaced and asked', 'starts'],
  ['start.requested', 'replaced', 'fails'],
  ['start.requested', 'replaced and asked', 'fails'],
  ['start.spawned', 'replaced', 'starts'],
  ['start.spawned', 'replaced and asked', 'starts'],
  ['start.started', 'replaced', 'starts'],
  ['start.started', 'replaced and asked', 'starts'],
]

/** Starts a domain, lets something happen at a step of it, and gives what its client was told. */
async function startMeanwhile(
  { lane }: EmulatorLane,
  start: { readonly name: string; readonly at: CrashPoint | 'intent'; readonly meanwhile: () => Promise<unknown> },
): Promise<Captured> {
  const { name, at, meanwhile } = start
  if (at === 'intent') await lane.control.holdIntents()
  else await lane.control.plan({ point: at, nth: 1, action: 'hang', subject: '' })
  const started = lane.virsh('start', name)
  try {
    await eventually(
      async () => (at === 'intent' ? (await lane.control.waitingIntents()) === 1 : (await lane.control.fired()) === at),
      { what: `the start of ${name} reaches ${at}` },
    )
    await meanwhile()
  } finally {
    await (at === 'intent' ? lane.control.passIntents() : lane.control.release())
  }
  return await started
}

/** What each command of a domain recorded, with the capability versions that its events bear. */
async function commandsOf({ lane }: EmulatorLane, uuid: string) {
  const rows = await lane.rows(
    `select convert_from(e.meta, 'UTF8')::json ->> 'commandId' as command,
        array_agg(t.name order by e.pos) as types,
        array_agg(distinct convert_from(e.meta, 'UTF8')::json ->> 'capsId')
          filter (where convert_from(e.meta, 'UTF8')::json ->> 'capsId' is not null) as versions
      from event e join event_type t using (type_id) join stream s using (stream_id)
      where s.name = $1 group by 1 order by min(e.pos)`,
    [`domain-${uuid}`],
  )
  return rows.map((row) => ({ types: row['types'], versions: row['versions'] }))
}

describe.skipIf(!canRun)('a start whose emulator is replaced under it', { timeout: 180_000 }, () => {
  test('becomes one of the new version, stays one of the old, or ends; at every step it acts by one version', async () => {
    await using emulator = await EmulatorLane.open([])
    const { lane, binary } = emulator
    const ask = async (): Promise<string> => await lane.done('domcapabilities', '--emulatorbin', binary)
    for (const [at, change, end] of steps) {
      const name = `${at}-${change}`.replaceAll(/[. ]/g, '-')
      const told = `at ${at}, ${change}`
      await emulator.define(name)
      const uuid = (await lane.done('domuuid', name)).trim()
      const meanwhile = async (): Promise<void> => {
        emulator.replace()
        if (change === 'replaced and asked') await ask()
      }
      const { status, err } = await startMeanwhile(emulator, { name, at, meanwhile })
      const commands = await commandsOf(emulator, uuid)
      for (const { versions } of commands) expect(versions, told).toHaveLength(1)
      const { types } = commands.at(-1) ?? {}
      if (end === 'starts') {
        expect({ status, err }, told).toEqual({ status: 0, err: '' })
        expect(types, told).toContain('DomainStarted')
      } else {
        expect(status, told).not.toBe(0)
        expect(err, told).toContain('than was probed')
        expect(types, told).toEqual(
          expect.arrayContaining(['DomainStartRequested', 'TaskAborted', 'DomainStartFailed']),
        )
        expect(lane.process(uuid), told).toBeNull()
        await lane.done('start', name)
      }
      await lane.done('destroy', name)
    }
    const { status, out } = await lane.daemon.cli('caps', 'audit')
    expect(out).toMatch(/ 0 of them unjustified; .* 0 wrong uses/)
    expect(status).toBe(0)
  })
})

describe.skipIf(!canRun)('a domain whose emulator is replaced under it', { timeout: 120_000 }, () => {
  test('is found again by the next daemon, goes on as what it was started as, and is named as its dependent', async () => {
    await using emulator = await EmulatorLane.open([])
    const { lane } = emulator
    await emulator.define('web')
    await lane.done('start', 'web')
    const uuid = (await lane.done('domuuid', 'web')).trim()
    const [before] = await lane.rows('select caps_id, state from emulators where to_position is null')
    const version = String(before?.['caps_id'])
    const process = lane.process(uuid)
    await lane.daemon.stop()
    emulator.replace()
    await lane.daemon.start()
    expect(await lane.done('domstate', 'web')).toContain('running')
    await lane.done('suspend', 'web')
    await lane.done('resume', 'web')
    expect(lane.process(uuid)).toEqual(process)
    const commands = await commandsOf(emulator, uuid)
    expect(commands.map(({ versions }) => versions ?? [])).toEqual([[version], [version], [], []])
    // Another domain needs the new version: the one that runs keeps the old.
    await emulator.define('other')
    const [run] = await lane.rows('select caps_id from domain_states where to_position is null and domain_uuid = $1', [
      uuid,
    ])
    expect(run).toEqual({ caps_id: version })
    const dependents = await lane.daemon.cli('caps', 'dependents', version)
    expect(dependents.out).toMatch(/^web +\S+ +running +@\d+ +still$/m)
    expect(await lane.daemon.cli('caps', 'audit')).toMatchObject({ status: 0 })
  })
})
