import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { endProcess, isRunning } from '../support/end-processes.ts'
import { killDomain } from '../support/fault-actions.ts'
import { eventually, FaultLane, type ProcessTag, startTicksOf } from '../support/fault-lane.ts'
import { scenes, type Stage, stageOf } from '../support/fault-scenes.ts'
import type { GuardName } from '../support/guards.ts'
import { requireTool } from '../support/require-tool.ts'

const canRun = requireTool('qemu-system-x86') && requireTool('qemu-utils') && requireTool('libvirt-clients')

/** A lane with a domain whose commit waits at READY; the daemon was killed. */
async function killedAtReady(guardsOff: readonly GuardName[]): Promise<{ stage: Stage; domain: ProcessTag }> {
  const lane = await FaultLane.open({ guardsOff })
  const stage = stageOf(lane, 'guest', randomUUID())
  await scenes.pivot.prepare(stage)
  await lane.daemon.kill()
  const domain = lane.process(stage.uuid)
  if (domain === null) throw new Error('The domain died with the daemon')
  return { stage, domain }
}

/** What the last event of the domain's run says. */
async function endOf({ lane, uuid }: Stage): Promise<{ readonly type: string; readonly data: string }> {
  const rows = await lane.rows(
    `select t.name, convert_from(e.data, 'UTF8') as data from event e join event_type t using (type_id) join stream s using (stream_id)
     where s.name = $1 and t.name in ('DomainShutOff', 'DomainCrashed', 'DomainDestroyed') order by e.pos desc limit 1`,
    [`domain-${uuid}`],
  )
  return { type: String(rows[0]?.['name']), data: String(rows[0]?.['data']) }
}

/** The host booted again: another boot id, and the pids of the last boot belong to others. */
async function reboot(guardsOff: readonly GuardName[]): Promise<void> {
  const { stage, domain } = await killedAtReady(guardsOff)
  const { lane, name, uuid } = stage
  await using _lane = lane
  lane.env['FAULT_BOOT_ID'] = randomUUID()
  await lane.daemon.start()
  const state = await lane.done('domstate', name)
  if (!state.includes('shut off')) throw new Error(`The domain of the last boot is ${state.trim()}`)
  const end = await endOf(stage)
  expect(end.type).toBe('DomainShutOff')
  expect(end.data).toContain('host_rebooted')
  expect(await lane.facts(uuid)).toContain('BlockJobFailed')
  expect(await lane.openJobs(uuid)).toEqual([])
  expect(await lane.openIntents(uuid)).toEqual([])
  expect((await lane.recordedChains(uuid))['vda']).toEqual([stage.layer('s1'), stage.layer('base')])
  // The process that has this pid on this boot is somebody else's: it was left alone.
  expect(lane.process(uuid)).toEqual(domain)
}

/** The domain's process died with the daemon, and a foreign one got its pid. */
async function reusePid(guardsOff: readonly GuardName[]): Promise<void> {
  const { stage, domain } = await killedAtReady(guardsOff)
  const { lane, name, uuid } = stage
  await using _lane = lane
  await killDomain(lane.daemon.socketDir, uuid)
  const foreign = await spawnAs(domain.pid)
  try {
    lane.env['FAULT_CLAIMED_PROCESS'] = `${domain.pid} ${domain.startTicks} ${uuid}`
    await lane.daemon.start()
    const state = await lane.done('domstate', name)
    if (!state.includes('shut off'))
      throw new Error(`A foreign process is taken for the domain, which is ${state.trim()}`)
    expect((await endOf(stage)).type).toBe('DomainShutOff')
    expect(await lane.openJobs(uuid)).toEqual([])
    expect(isRunning(domain.pid) && startTicksOf(domain.pid) !== domain.startTicks).toBe(true)
  } finally {
    await endProcess(domain.pid)
    foreign.kill('SIGKILL')
  }
}

/** Starts a process that does nothing under a given pid, once nobody has that any more. */
async function spawnAs(pid: number): Promise<ChildProcess> {
  await eventually(() => !existsSync(`/proc/${pid}`), { what: `process ${pid} is reaped`, limitMs: 60_000 })
  const script = `for attempt in $(seq 200); do
    echo ${pid - 1} > /proc/sys/kernel/ns_last_pid; sleep 120 & if [ $! = ${pid} ]; then echo got; wait; fi; kill $!
  done`
  const shell = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] })
  const { promise, resolve, reject } = Promise.withResolvers<ChildProcess>()
  shell.stdout.once('data', () => resolve(shell))
  shell.once('exit', () => reject(new Error(`Cannot start a process with pid ${pid}: others get it first`)))
  return await promise
}

describe.skipIf(!canRun)('after a reboot', { timeout: 120_000 }, () => {
  test('running domains are shut off (host rebooted), their jobs have an end, and nothing foreign is touched', async () => {
    await reboot([])
  })

  test('processes of others would be taken for domains without guard boot-id-checked', async () => {
    await expect(reboot(['boot-id-checked'])).rejects.toThrow('The domain of the last boot is running')
  })
})

describe.skipIf(!canRun || process.getuid?.() !== 0)('a pid that was used again', { timeout: 120_000 }, () => {
  test('is not the domain, which is shut off; the foreign process is not touched', async () => {
    await reusePid([])
  })

  test('would be taken for the domain without guard process-identity-checked', async () => {
    await expect(reusePid(['process-identity-checked'])).rejects.toThrow('A foreign process is taken for the domain')
  })
})
