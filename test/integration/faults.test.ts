import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FaultLane } from '../support/fault-lane.ts'
import { clearStage, runFault } from '../support/fault-run.ts'
import { stageOf } from '../support/fault-scenes.ts'
import { requireTool } from '../support/require-tool.ts'
import { type FaultRow, faults, victims } from './faults.ts'

// Rows wait for guests and disks more than for a CPU, so that some run side by side, each lane with a daemon of its own.
const laneCount = 3
const canRun = requireTool('qemu-system-x86') && requireTool('qemu-utils') && requireTool('libvirt-clients')

const titleOf = ([command, scene, point, dies]: FaultRow): string => `${command} (${scene}), ${point}: ${dies} dies`
const results = new Map<string, string>()

const idle: FaultLane[] = []
const waiting: ((lane: FaultLane) => void)[] = []

describe.skipIf(!canRun)('kill -9', () => {
  beforeAll(async () => {
    idle.push(...(await Promise.all(Array.from({ length: laneCount }, async () => await FaultLane.open()))))
  })
  afterAll(async () => {
    await Promise.all(idle.map(async (lane) => await lane[Symbol.asyncDispose]()))
    process.stdout.write(`\n${matrix(results)}\n`)
  })

  describe.concurrent('leaves everything as the log says', { timeout: 600_000 }, () => {
    test.each(faults.map((row) => [titleOf(row), row] as const))('%s', async (title, row) => {
      let lane = await takeLane()
      const stage = stageOf(lane, `f${faults.indexOf(row)}`, randomUUID())
      try {
        results.set(title, 'FAILED')
        await runFault(stage, row)
        results.set(title, 'ok')
        await clearStage(stage)
      } catch (error) {
        // What it left behind must not be the next row's fault.
        const said = lane.daemon.output().slice(-6_000)
        await lane[Symbol.asyncDispose]()
        lane = await FaultLane.open()
        expect.unreachable(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n${said}`)
      } finally {
        giveLane(lane)
      }
    })
  })

  test('leaves logs in which every check and a replay of everything find nothing', { timeout: 120_000 }, async () => {
    for (const { daemon } of idle) {
      const check = await daemon.cli('check', '--all')
      expect(check.status, check.out + check.err).toBe(0)
      const replay = await daemon.cli('replay', '--check')
      expect(replay.status, replay.out + replay.err).toBe(0)
    }
  })
})

async function takeLane(): Promise<FaultLane> {
  const lane = idle.pop()
  return lane ?? (await new Promise((resolve) => waiting.push(resolve)))
}
function giveLane(lane: FaultLane): void {
  const next = waiting.shift()
  if (next === undefined) idle.push(lane)
  else next(lane)
}

/** Commands and points against who dies. */
function matrix(outcomes: ReadonlyMap<string, string>): string {
  const rows = Map.groupBy(faults, ([command, scene, point]) => `${command} (${scene}), ${point}`)
  const width = Math.max(...[...rows.keys()].map((key) => key.length))
  const lines = [...rows].map(([key, group]) => {
    const cells = victims.map((victim) => {
      const row = group.find(([, , , dies]) => dies === victim)
      return (row === undefined ? '.' : (outcomes.get(titleOf(row)) ?? '-')).padEnd(17)
    })
    return `${key.padEnd(width)}  ${cells.join('')}`
  })
  return [`${'who dies'.padEnd(width)}  ${victims.map((victim) => victim.padEnd(17)).join('')}`, ...lines].join('\n')
}
