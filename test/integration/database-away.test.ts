import { randomUUID } from 'node:crypto'
import { appendFileSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { capture } from '../support/capture.ts'
import { isRunning } from '../support/end-processes.ts'
import { killPostgres, signalPostgres } from '../support/fault-actions.ts'
import { copyGuestDisk, eventually, FaultLane, guestXml } from '../support/fault-lane.ts'
import { scenes, stageOf } from '../support/fault-scenes.ts'
import { guestWriteCount, verifyGuestWrites } from '../support/guest-disk.ts'
import { requireTool } from '../support/require-tool.ts'

const canRun = requireTool('qemu-system-x86') && requireTool('qemu-utils') && requireTool('libvirt-clients')

const launcher = fileURLToPath(new URL('../../src/launcher.js', import.meta.url))

describe.skipIf(!canRun)('while PostgreSQL is away', { timeout: 120_000 }, () => {
  let lane: FaultLane
  beforeEach(async () => {
    lane = await FaultLane.open()
  })
  afterEach(async () => await lane[Symbol.asyncDispose]())

  /** Kills PostgreSQL and keeps it from coming up, by a setting that it does not know; gives what lets it come up again. */
  const keepAway = async (): Promise<() => void> => {
    const root = join(lane.daemon.stateDir, 'postgresql')
    const file = readdirSync(root, { recursive: true, encoding: 'utf8' }).find((name) => name.endsWith('local.conf'))
    if (file === undefined) throw new Error(`There is no local.conf below ${root}`)
    const path = join(root, file)
    const before = readFileSync(path, 'utf8')
    appendFileSync(path, '\nno_such_setting = on\n')
    await killPostgres(lane.daemon.stateDir)
    return () => writeFileSync(path, before)
  }

  const define = async (name: string): Promise<void> => {
    await copyGuestDisk(lane.image('template.qcow2'), lane.image(`${name}.qcow2`))
    writeFileSync(lane.image(`${name}.xml`), guestXml(name, { vda: lane.image(`${name}.qcow2`) }))
    await lane.done('define', lane.image(`${name}.xml`))
  }

  test('changes are refused with the reason, reads go on, domains live; it all works again when it is back', async () => {
    await define('running')
    await lane.done('start', 'running')
    const uuid = (await lane.done('domuuid', 'running')).trim()
    const process = lane.process(uuid)
    const reads = [
      'list --all; dumpxml running; dominfo running; domstate --reason running; snapshot-list running',
    ].join('')
    const before = (await lane.done(reads)).replaceAll(/^CPU time.*$/gm, '')
    const facts = await lane.facts(uuid)
    const letBack = await keepAway()
    for (const words of [
      ['suspend', 'running'],
      ['destroy', 'running'],
      ['snapshot-create-as', 'running', 's1', '--disk-only'],
      ['define', lane.image('running.xml')],
      ['autostart', 'running'],
    ]) {
      const { status, err } = await lane.virsh(...words)
      expect(status, `virsh ${words.join(' ')}`).not.toBe(0)
      expect(err).toMatch(/log is unavailable/)
      expect(err).toMatch(/nothing was changed/)
    }
    expect((await lane.done(reads)).replaceAll(/^CPU time.*$/gm, '')).toBe(before)
    expect(lane.process(uuid)).toEqual(process)
    letBack()
    await eventually(async () => (await lane.virsh('suspend', 'running')).status === 0, {
      what: 'changes are taken again, without a restart',
      limitMs: 40_000,
    })
    // Nothing acknowledged was lost, nothing refused has left a trace.
    expect(await lane.facts(uuid)).toEqual([...facts, 'DomainSuspendRequested', 'DomainSuspended'])
  })

  test('a guest that ends is recorded when it is back', async () => {
    await define('brief')
    await lane.done('start', 'brief')
    const uuid = (await lane.done('domuuid', 'brief')).trim()
    const letBack = await keepAway()
    const pid = lane.process(uuid)?.pid ?? 0
    process.kill(pid, 'SIGKILL')
    await eventually(() => !isRunning(pid), { what: 'the guest is gone' })
    letBack()
    await eventually(async () => (await lane.done('domstate', 'brief')).includes('shut off'), {
      what: 'the end of the guest is known',
      limitMs: 40_000,
    })
    await lane.done('start', 'brief')
  })

  test('the daemon starts it again by itself, as often as it dies', async () => {
    await define('kept')
    for (let round = 1; round <= 3; round += 1) {
      await killPostgres(lane.daemon.stateDir)
      await eventually(async () => (await lane.virsh('desc', 'kept')).status === 0, { what: 'reads go on' })
      await eventually(async () => (await lane.virsh('start', 'kept')).status === 0, {
        what: `round ${round}: it starts`,
      })
      await lane.done('destroy', 'kept')
    }
    const check = await lane.daemon.cli('check', '--all')
    expect(check.status, check.out).toBe(0)
  })

  test('a pivot that cannot be recorded in time is given up: the guest does not wait for a database', async () => {
    await pivotWhileStopped(lane)
  })

  test('the guest would wait without guard given-up-in-time', async () => {
    await using waiting = await FaultLane.open({ guardsOff: ['given-up-in-time'] })
    await expect(pivotWhileStopped(waiting)).rejects.toThrow('the guest writes on')
  })

  test('a second daemon on the same log ends, told who holds it since when', async () => {
    const flags = ['--state-dir', lane.daemon.stateDir, '--socket-dir', lane.image('other-run')]
    const second = await capture(process.execPath, [launcher, 'daemon', ...flags], { timeoutMs: 20_000 })
    expect(second.status).toBeGreaterThan(0)
    expect(second.err + second.out).toContain(`process ${lane.daemon.pid()}`)
    expect(second.err + second.out).toMatch(/since \d{4}-\d\d-\d\dT/)
    expect((await lane.virsh('list')).status).toBe(0)
  })
})

/** PostgreSQL stands still from PENDING on. Throws where the guest has to wait for it. */
async function pivotWhileStopped(lane: FaultLane): Promise<void> {
  const stage = stageOf(lane, 'held', randomUUID())
  const { uuid } = stage
  await scenes.pivot.prepare(stage)
  await lane.control.plan({ point: 'job.pending', nth: 1, action: 'stop-postgres', subject: uuid })
  const pivoting = scenes.pivot.act(stage)
  try {
    await eventually(async () => (await lane.control.fired()) === 'job.pending', { what: 'the job is pending' })
    const count = await guestWriteCount(stage.layer('s1'))
    await eventually(async () => (await guestWriteCount(stage.layer('s1'))) > count + 5, {
      what: 'the guest writes on',
      everyMs: 250,
      limitMs: 12_000,
    })
  } finally {
    signalPostgres(lane.daemon.stateDir, 'SIGCONT')
  }
  const { status } = await pivoting
  expect(status, 'the client is told that there was no pivot').not.toBe(0)
  await eventually(async () => (await lane.openJobs(uuid)).length === 0, {
    what: 'the job has an end',
    limitMs: 60_000,
  })
  const chain = [stage.layer('s1'), stage.layer('base')]
  expect((await lane.recordedChains(uuid))['vda']).toEqual(chain)
  expect((await lane.control.chains(uuid))['vda']).toEqual(chain)
  await lane.done('destroy', stage.name)
  expect((await verifyGuestWrites(stage.layer('s1'))).lost).toEqual([])
}
