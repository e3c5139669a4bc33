import { existsSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultRow } from '../integration/faults.ts'
import type { Captured } from './capture.ts'
import { killDomain, killPostgres } from './fault-actions.ts'
import { eventually, type ProcessTag } from './fault-lane.ts'
import { hurryJob, type Scene, scenes, type Stage } from './fault-scenes.ts'
import { guestWriteCount, verifyGuestWrites } from './guest-disk.ts'

/** What was before the fault, to be compared with what is after it. */
interface Before {
  readonly reads: string
  readonly process: ProcessTag | null
}

/** What a fault left behind. */
interface Aftermath extends Before {
  /** How the client's command ended; null where there was none. */
  readonly answer: Captured | null
  /** Blocks that the guest had seen written when its QEMU was killed. */
  readonly written: number
}

const noWords: Captured = { status: 0, signal: null, out: '', err: '' }

/** Plays one row of the fault table and throws where anything is not as it must be. */
export async function runFault(stage: Stage, row: FaultRow, { settleMs = 30_000 } = {}): Promise<void> {
  const [, sceneName, point, dies] = row
  const scene: Scene = scenes[sceneName]
  const { lane, uuid } = stage
  await scene.prepare(stage)
  const before = { reads: await readAll(stage), process: lane.process(uuid) }
  if (point !== 'acknowledged') {
    const action = dies === 'qemu' ? 'kill-qemu' : dies === 'postgres' ? 'kill-postgres' : 'kill'
    await lane.control.plan({ point, nth: 1, action, subject: uuid })
  }
  const after = dies.startsWith('daemon')
    ? await killWithDaemon(stage, { row, scene, before })
    : await killBeside(stage, { row, scene, before })
  await settled(stage, row, settleMs)
  await checkState(stage, row, after)
  await checkChains(stage, row)
  await checkLeftovers(stage, row)
  if (row[4].job === 'ready') await pivotNow(stage)
  await checkGuestWrites(stage, after.written)
}

/** Ends the domain of a row and forgets it. */
export async function clearStage({ lane, name }: Stage): Promise<void> {
  await lane.virsh('destroy', name)
  await lane.virsh('undefine', name, '--snapshots-metadata')
}

interface Playing {
  readonly row: FaultRow
  readonly scene: Scene
  readonly before: Before
}

async function killWithDaemon(stage: Stage, { row, scene, before }: Playing): Promise<Aftermath> {
  const [, , point, dies] = row
  const { lane, uuid } = stage
  const acting = scene.act(stage)
  if (point === 'acknowledged') {
    await mustSucceed(acting)
    await lane.daemon.kill()
  } else {
    await lane.died()
  }
  let written = 0
  if (dies === 'daemon+postgres') await killPostgres(lane.daemon.stateDir)
  if (dies === 'daemon+qemu') {
    // The guest goes on without the daemon for a while, then it is gone from one moment to the next.
    await sleep(200)
    written = await newestCount(stage)
    await killDomain(lane.daemon.socketDir, uuid)
  }
  const answer = await acting
  await lane.daemon.start()
  return { ...before, answer, written }
}

async function killBeside(stage: Stage, { row, scene, before }: Playing): Promise<Aftermath> {
  const [, , point, dies] = row
  const { lane, uuid } = stage
  const returns = timesBack(lane.daemon.output())
  const acting = scene.act(stage)
  if (point === 'acknowledged') {
    await mustSucceed(acting)
    if (dies === 'qemu') await killDomain(lane.daemon.socketDir, uuid)
    else await killPostgres(lane.daemon.stateDir)
  } else {
    await eventually(async () => (await lane.control.fired()) === point, { what: `the daemon passes ${point}` })
  }
  const answer = await acting
  if (dies === 'postgres')
    await eventually(() => timesBack(lane.daemon.output()) > returns, { what: 'the log is available again' })
  return { ...before, answer, written: 0 }
}

/** How often the daemon said that it can write its log again. */
function timesBack(output: string): number {
  return output.split('The log is available again').length - 1
}

async function mustSucceed(acting: Promise<Captured | null>): Promise<void> {
  const { status, err } = (await acting) ?? noWords
  if (status !== 0) throw new Error(`The command that should be acknowledged ended with ${status}: ${err}`)
}

/** Waits until everything that was under way has come to its end. */
async function settled(stage: Stage, [, sceneName, , , expected]: FaultRow, limitMs: number): Promise<void> {
  const { lane, uuid } = stage
  if (sceneName.startsWith('commit')) await hurryJob(stage)
  const wanted = expected.job === null ? [] : [expected.job]
  await eventually(async () => (await lane.openIntents(uuid)).length === 0, {
    what: 'no intent is without an outcome',
    limitMs,
  })
  await eventually(async () => same(await lane.openJobs(uuid), wanted), {
    what: 'every job but those waiting has its end',
    limitMs,
  })
  await eventually(async () => fits(expected.state, await stateOf(stage)), {
    what: `the domain is ${expected.state}`,
    limitMs,
  })
}

async function checkState(stage: Stage, [, , , dies, expected]: FaultRow, after: Aftermath): Promise<void> {
  const { lane, uuid } = stage
  const state = await stateOf(stage)
  const now = lane.process(uuid)
  if ((state === 'running' || state === 'paused') !== (now !== null))
    throw new Error(`The domain is ${state}, but its process is ${now === null ? 'gone' : `alive (${now.pid})`}`)
  if (now !== null && after.process !== null && !sameProcess(now, after.process))
    throw new Error(`The domain's process was ${after.process.pid} and is ${now.pid}: another one`)
  if (expected.unchanged) {
    const reads = await readAll(stage)
    if (reads !== after.reads) throw new Error(`The reads changed.\n--- before\n${after.reads}\n--- after\n${reads}`)
  }
  const facts = await lane.facts(uuid)
  const missing = expected.facts.filter((fact) => !facts.includes(fact))
  if (missing.length > 0) throw new Error(`The log lacks ${missing.join(', ')}; it has ${facts.join(', ')}`)
  const { answer } = after
  if (dies === 'postgres' && state === 'shut off' && expected.state === 'running or shut off' && answer?.status === 0)
    throw new Error('The command was acknowledged, and its effect is gone')
}

async function checkChains(stage: Stage, [, , , , expected]: FaultRow): Promise<void> {
  const { lane, uuid } = stage
  const recorded = await lane.recordedChains(uuid)
  const wanted = expected.chains.map((chain) => chain.map((layer) => stage.layer(layer)))
  const vda = recorded['vda'] ?? []
  if (wanted.length > 0 && !wanted.some((chain) => same(chain, vda)))
    throw new Error(
      `The log has the chain ${vda.join(' < ')}, expected is ${wanted.map((one) => one.join(' < ')).join(' or ')}`,
    )
  if (lane.process(uuid) === null) return
  const actual = await lane.control.chains(uuid)
  if (JSON.stringify(actual) !== JSON.stringify(recorded))
    throw new Error(`QEMU has the chains ${JSON.stringify(actual)}, the log has ${JSON.stringify(recorded)}`)
}

/** Jobs of QEMU that the log does not know, overlays that no chain uses, images that were not given back. */
async function checkLeftovers(stage: Stage, row: FaultRow): Promise<void> {
  const [, sceneName, , , expected] = row
  const { lane, uuid } = stage
  const recorded = await lane.recordedChains(uuid)
  if (lane.process(uuid) === null) {
    for (const path of Object.values(recorded).flat())
      if (path.endsWith('.qcow2') && statSync(path).uid !== process.getuid?.())
        throw new Error(`"${path}" was not given back to its owner: it belongs to ${statSync(path).uid}`)
  } else {
    const jobs = (await lane.control.jobs(uuid)).map((job) => job.status)
    if (!same(jobs, expected.job === null ? [] : [expected.job]))
      throw new Error(`QEMU has the jobs ${jobs.join(', ')}`)
  }
  if (!sceneName.startsWith('snapshot')) return
  for (const disk of scenes[sceneName].disks) {
    const overlay = stage.layer('s1', disk)
    if (existsSync(overlay) && recorded[disk] !== undefined && !recorded[disk].includes(overlay))
      throw new Error(`The overlay "${overlay}" lies about: no chain uses it`)
  }
}

/** A job that was left at READY still does what it was started for. */
async function pivotNow(stage: Stage): Promise<void> {
  await stage.lane.done('blockjob', stage.name, 'vda', '--pivot')
  await eventually(async () => (await stage.lane.openJobs(stage.uuid)).length === 0, { what: 'the later pivot ends' })
  const vda = (await stage.lane.recordedChains(stage.uuid))['vda'] ?? []
  if (!same(vda, [stage.layer('base')])) throw new Error(`After a later pivot the chain is ${vda.join(' < ')}`)
}

/** What the guest saw written is in the chain that the log names. */
async function checkGuestWrites(stage: Stage, atLeast: number): Promise<void> {
  const { lane, uuid, name } = stage
  if (lane.process(uuid) !== null) await lane.done('destroy', name)
  const active = (await lane.recordedChains(uuid))['vda']?.[0]
  if (active === undefined) return
  const { count, lost } = await verifyGuestWrites(active)
  if (lost.length > 0 || count < atLeast)
    throw new Error(`The guest had written ${atLeast} blocks; ${active} has ${count}, and lost ${lost.join(' ')}`)
}

/** The number of blocks that the guest has written, by whichever file of its disk knows the most. */
async function newestCount(stage: Stage): Promise<number> {
  const files = ['base', 's1', 's2'].map((layer) => stage.layer(layer)).filter(existsSync)
  const counts = await Promise.all(files.map(async (file) => await guestWriteCount(file).catch(() => 0)))
  return Math.max(0, ...counts)
}

/** Everything that clients can read of the domain, as virsh prints it, without what changes by itself. */
async function readAll({ lane, name }: Stage): Promise<string> {
  const reads = [
    'list --all',
    'dominfo',
    'domstate --reason',
    'dumpxml',
    'dumpxml --inactive',
    'domblklist --details',
    'snapshot-list --tree',
  ]
  const script = reads.map((read) => (read.startsWith('list') ? read : read.replace(/^\S+/, `$& ${name}`))).join('; ')
  const { out, err } = await lane.virsh(script)
  return `${out}${err}`.replaceAll(/^(CPU time|Used memory): .*$/gm, '$1: -')
}

async function stateOf({ lane, name }: Stage): Promise<string> {
  const { status, out } = await lane.virsh('domstate', name)
  return status === 0 ? out.trim() : 'absent'
}

function fits(expected: FaultRow[4]['state'], state: string): boolean {
  return expected === 'running or shut off' ? state === 'running' || state === 'shut off' : state === expected
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((one, at) => one === b[at])
}

function sameProcess(a: ProcessTag, b: ProcessTag): boolean {
  return a.pid === b.pid && a.startTicks === b.startTicks
}
