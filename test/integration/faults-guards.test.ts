import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { CrashPoint } from '../../src/commands/crash-points.ts'
import { FaultLane } from '../support/fault-lane.ts'
import { runFault } from '../support/fault-run.ts'
import { type SceneName, stageOf } from '../support/fault-scenes.ts'
import type { GuardName } from '../support/guards.ts'
import { requireTool } from '../support/require-tool.ts'
import { faults, type Victim } from './faults.ts'

const canRun = requireTool('qemu-system-x86') && requireTool('qemu-utils') && requireTool('libvirt-clients')

type ShownRow = readonly [GuardName, SceneName, CrashPoint | 'acknowledged', Victim, RegExp]

/** A guard, the row of the fault table that it makes pass, and what goes wrong in that row without it. */
const shown: readonly ShownRow[] = [
  ['reconciliation', 'running', 'acknowledged', 'daemon+qemu', /the domain is shut off/],
  ['owners-restored', 'running', 'acknowledged', 'qemu', /was not given back/],
  ['unrecorded-process-found', 'start', 'start.spawned', 'daemon', /its process is alive/],
  ['destroy-request-recorded', 'destroy', 'destroy.requested', 'daemon', /the domain is shut off/],
  ['snapshot-request-recorded', 'snapshotOfTwo', 'snapshot.files', 'daemon', /lies about/],
  ['snapshot-files-removed', 'snapshotOfTwo', 'snapshot.files', 'daemon', /lies about/],
  ['job-request-recorded', 'commit', 'acknowledged', 'postgres', /every job but those waiting has its end/],
  ['pivot-request-recorded', 'pivot', 'job.pivotRequested', 'daemon', /every job but those waiting has its end/],
  ['pivot-recorded-first', 'pivot', 'job.finalized', 'daemon+qemu', /lacks BlockJobPivoted/],
  ['finalize-recorded-first', 'pull', 'job.finalized', 'daemon+qemu', /lacks BlockJobCompleted/],
  ['outcome-before-dismiss', 'abort', 'job.concluded', 'daemon', /lacks BlockJobCancelled/],
]

const titleOf = ([guard, scene, point, dies]: ShownRow): string => `guard ${guard}: ${scene}, ${point}, ${dies} dies`

describe.skipIf(!canRun)('the fault table is red without', { timeout: 120_000 }, () => {
  test.each(shown.map((row) => [titleOf(row), row] as const))(
    '%s',
    async (_title, [guard, scene, point, dies, damage]) => {
      const row = faults.find((one) => one[1] === scene && one[2] === point && one[3] === dies)
      if (row === undefined) throw new Error(`faults.ts has no row for ${scene}, ${point}, ${dies}`)
      await using lane = await FaultLane.open({ guardsOff: [guard] })
      const stage = stageOf(lane, 'red', randomUUID())
      await expect(runFault(stage, row, { settleMs: 5_000 })).rejects.toThrow(damage)
    },
  )
})
