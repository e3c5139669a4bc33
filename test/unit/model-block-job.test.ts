import { describe, expect, test } from 'vitest'
import type { AnyFact } from '../../src/events/catalogue.ts'
import { type BlockJobCommand, type BlockJobs, decideBlockJob, evolveBlockJobs } from '../../src/model/block-job.ts'
import { factOf } from '../support/facts.ts'
import { given } from '../support/given.ts'

const blockJob = { initial: {} satisfies BlockJobs, decide: decideBlockJob, evolve: evolveBlockJobs }

const requested = factOf('BlockJobRequested')
const started = factOf('BlockJobStarted')
const ready = factOf('BlockJobReady')
const pivotRequested = factOf('BlockJobPivotRequested')
const cancelRequested = factOf('BlockJobCancelRequested')
const pivoting = factOf('BlockJobPivoting')
const finalizing = factOf('BlockJobFinalizing')
const pull = factOf('BlockJobRequested', { kind: 'pull', base: -1, top: 2 })

/** Every phase of a job that lives, with the facts that lead there. */
const phases = {
  requested: [requested],
  running: [requested, started],
  ready: [requested, started, ready],
  'asked to pivot': [requested, started, ready, pivotRequested],
  'asked to cancel': [requested, started, ready, cancelRequested],
  pivoting: [requested, started, ready, pivotRequested, pivoting],
  finalizing: [pull, started, finalizing],
} as const satisfies Record<string, readonly AnyFact[]>

const commands = {
  request: { kind: 'request', data: requested.data },
  'request on another disk': { kind: 'request', data: { ...requested.data, jobId: 'other', disk: 'vdb' } },
  pivot: { kind: 'pivot', disk: 'vda' },
  cancel: { kind: 'cancel', disk: 'vda' },
  noteStarted: { kind: 'noteStarted', jobId: 'job' },
  noteReady: { kind: 'noteReady', jobId: 'job' },
  finalize: { kind: 'finalize', jobId: 'job', from: '/l2', to: '/l1' },
} as const satisfies Record<string, BlockJobCommand>

const other = factOf('BlockJobRequested', commands['request on another disk'].data)
const busy = (phase: string, kind = 'active_commit') =>
  `disk "vda" already has an active block job: ${kind} is ${phase}`
const noPivot = 'Cannot pivot disk "vda": its job is a pull, only an active commit can pivot'

/** Phase by phase: what each command leads to (facts), or the words in which it is refused. */
const table: Readonly<
  Record<keyof typeof phases, Readonly<Record<keyof typeof commands, readonly AnyFact[] | string>>>
> = {
  requested: {
    request: busy('requested'),
    'request on another disk': [other],
    pivot: [pivotRequested],
    cancel: [cancelRequested],
    noteStarted: [started],
    noteReady: [ready],
    finalize: [pivoting],
  },
  running: {
    request: busy('running'),
    'request on another disk': [other],
    pivot: [pivotRequested],
    cancel: [cancelRequested],
    noteStarted: [],
    noteReady: [ready],
    finalize: [pivoting],
  },
  ready: {
    request: busy('ready'),
    'request on another disk': [other],
    pivot: [pivotRequested],
    cancel: [cancelRequested],
    noteStarted: [],
    noteReady: [],
    finalize: [pivoting],
  },
  'asked to pivot': {
    request: busy('ready'),
    'request on another disk': [other],
    pivot: [],
    cancel: [cancelRequested],
    noteStarted: [],
    noteReady: [],
    finalize: [pivoting],
  },
  'asked to cancel': {
    request: busy('ready'),
    'request on another disk': [other],
    pivot: 'Cannot pivot disk "vda": its job is being cancelled',
    cancel: [],
    noteStarted: [],
    noteReady: [],
    finalize: [],
  },
  pivoting: {
    request: busy('pivoting'),
    'request on another disk': [other],
    pivot: [],
    cancel: 'Cannot cancel the block job of disk "vda": it is pivoting',
    noteStarted: [],
    noteReady: [],
    finalize: [],
  },
  finalizing: {
    request: busy('finalizing', 'pull'),
    'request on another disk': [other],
    pivot: noPivot,
    cancel: 'Cannot cancel the block job of disk "vda": it is finalizing',
    noteStarted: [],
    noteReady: [],
    finalize: [],
  },
}

const rows = Object.entries(table).flatMap(([phase, row]) =>
  Object.entries(row).map(([command, result]) => ({ phase, command, result })),
)

describe('decideBlockJob()', () => {
  test.each(rows)('in phase $phase answers $command', ({ phase, command, result }) => {
    const facts = new Map<string, readonly AnyFact[]>(Object.entries(phases)).get(phase) ?? []
    const asked = new Map<string, BlockJobCommand>(Object.entries(commands)).get(command)
    if (asked === undefined) throw new Error(`No command ${command}`)
    const outcome = given(blockJob, facts).when(asked)
    if (typeof result === 'string') outcome.thenThrows(result)
    else outcome.thenFacts(...result)
  })

  test('refuses what needs a job where there is none, and notes nothing about it', () => {
    given(blockJob, []).when(commands.pivot).thenThrows('disk vda does not have an active block job')
    given(blockJob, []).when(commands.cancel).thenThrows('disk vda does not have an active block job')
    for (const command of [commands.noteStarted, commands.noteReady, commands.finalize]) {
      given(blockJob, []).when(command).thenFacts()
    }
  })

  test('finalizes a pull and a commit without naming a pivot', () => {
    given(blockJob, [pull, started]).when(commands.finalize).thenFacts(finalizing)
    given(blockJob, [pull, started]).when(commands.pivot).thenThrows(noPivot)
  })
})

describe('evolveBlockJobs()', () => {
  const ends = [
    factOf('BlockJobPivoted'),
    factOf('BlockJobCompleted'),
    factOf('BlockJobFailed'),
    factOf('BlockJobCancelled'),
    factOf('BlockJobLost'),
  ]

  test.each(ends)('ends the job at $type, and that job only', (end) => {
    const { state } = given(blockJob, [requested, other, started, end])
    expect(Object.keys(state)).toEqual(['other'])
    given(blockJob, [requested, end]).when(commands.request).thenFacts(requested)
  })

  test('remembers a pivot that was asked for up front', () => {
    const { state } = given(blockJob, [factOf('BlockJobRequested', { onReady: 'pivot' })])
    expect(state).toMatchObject({ job: { pivotRequested: true, phase: 'requested' } })
  })

  test('takes no notice of facts about jobs that it does not know, nor of other things', () => {
    expect(given(blockJob, [started, ready, pivoting, factOf('DomainSuspended')]).state).toEqual({})
  })
})
