import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chainsOf, diskLayersTable } from '../../projections/backing-chains.ts'
import { blockJobsTable } from '../../projections/block-jobs.ts'
import { claimsTable } from '../../projections/claims.ts'
import { domainDefinitionsTable } from '../../projections/domain-definitions.ts'
import { domainStatesTable } from '../../projections/domain-states.ts'
import { emulatorsTable } from '../../projections/emulators.ts'
import { openIntentsTable } from '../../projections/open-intents.ts'
import { snapshotDisksTable, snapshotsTable } from '../../projections/snapshots.ts'
import { LiveReads } from '../../src/commands/live-reads.ts'
import type { AnyFact } from '../../src/events/catalogue.ts'
import type { Metadata } from '../../src/events/metadata.ts'
import { type Domain, evolveDomain, noDomain } from '../../src/model/domain.ts'
import { allProjections } from '../support/all-projections.ts'
import { factOf, layerOf } from '../support/facts.ts'
import { MemoryRows } from '../support/memory-rows.ts'
import { anyLife } from '../support/random-domain.ts'
import { recordedFact } from '../support/recorded.ts'

const key = { domain_uuid: 'u' }

/** The rows after facts on the stream of one domain, each a commit of its own. */
function after(facts: readonly AnyFact[], meta: Partial<Metadata> = {}): MemoryRows {
  const rows = new MemoryRows(allProjections)
  for (const [position, fact] of facts.entries()) rows.apply(recordedFact(fact, { stream: 'domain-u', position, meta }))
  return rows
}

const running = [
  factOf('DomainDefined'),
  factOf('BackingChainDetected'),
  factOf('DomainStartRequested'),
  factOf('DomainStarted'),
]

describe('domain_definitions', () => {
  test('say who defined what, why, and what the next start uses', () => {
    const rows = after([factOf('DomainDefined'), factOf('DomainAutostartChanged')], { reason: 'CHG-1' })
    expect(rows.rows(domainDefinitionsTable).get(key)).toMatchObject({
      name: 'web',
      caps_id: 'caps',
      emulator: 'test',
      autostart: true,
      defined_by: 'virsh',
      defined_uid: 1000,
      reason: 'CHG-1',
    })
    expect(rows.rows(domainDefinitionsTable).by('by_name', 'web')).toHaveLength(1)
  })

  test('keep the autostart mark over a new definition, and lose it with the old one', () => {
    const marked = [factOf('DomainDefined'), factOf('DomainAutostartChanged')]
    const autostart = (...facts: readonly AnyFact[]) => after(facts).rows(domainDefinitionsTable).get(key)?.autostart
    expect(autostart(...marked, factOf('DomainDefined'))).toBe(true)
    expect(autostart(...marked, factOf('DomainUndefined'), factOf('DomainDefined'))).toBe(false)
  })
})

describe('domain_states', () => {
  const stateAfter = (...facts: readonly AnyFact[]) => {
    const row = after([...running, ...facts])
      .rows(domainStatesTable)
      .get(key)
    return row === undefined ? null : `${row.state} ${row.reason} ${row.domain_id}`
  }

  test.each([
    ['a start', 'running booted 1', []],
    ['a suspend', 'paused user 1', [factOf('DomainSuspended')]],
    ['a suspend by itself', 'paused hypervisor 1', [factOf('DomainSuspended', { cause: 'hypervisor' })]],
    ['a resume', 'running unpaused 1', [factOf('DomainSuspended'), factOf('DomainResumed')]],
    ['a destroy', 'shutoff destroyed -1', [factOf('DomainDestroyed')]],
    ['a shutdown', 'shutoff shutdown -1', [factOf('DomainShutOff')]],
    ['a reboot of the host', 'shutoff host_rebooted -1', [factOf('DomainShutOff', { reason: 'host_rebooted' })]],
    ['a crash', 'shutoff crashed -1', [factOf('DomainCrashed')]],
    ['an undefine', 'running booted 1', [factOf('DomainUndefined')]],
    [
      'the end of a transient domain',
      null,
      [factOf('DomainUndefined'), factOf('DomainDestroyed'), factOf('DomainForgotten')],
    ],
    [
      'the end of one defined again',
      'shutoff destroyed -1',
      [factOf('DomainUndefined'), factOf('DomainDefined'), factOf('DomainDestroyed')],
    ],
    ['an undefine at rest', null, [factOf('DomainDestroyed'), factOf('DomainUndefined'), factOf('DomainForgotten')]],
  ] as const)('after %s are %s', (_after, state, facts) => {
    expect(stateAfter(...facts)).toBe(state)
  })

  test('hold the process while there is one, and nothing of it afterwards', () => {
    const states = (facts: readonly AnyFact[]) => after(facts).rows(domainStatesTable)
    expect(states(running).get(key)).toMatchObject({
      pid: 42,
      start_ticks: 7n,
      boot_id: 'boot',
      monitor_path: '/run/m',
      virt_type: 'test',
      terminals: '{"serial0":"/dev/pts/3"}',
      vnc_ports: '[5901]',
      persistent: true,
    })
    expect(states(running).by('by_id', '1')).toHaveLength(1)
    const ended = states([...running, factOf('DomainCrashed')])
    expect(ended.get(key)).toMatchObject({ pid: 0, boot_id: '', monitor_path: '', terminals: '{}', vnc_ports: '[]' })
    expect(ended.by('by_id', '1')).toEqual([])
  })

  test('say paused for a domain that was started so', () => {
    const facts = [...running.slice(0, 3), factOf('DomainStarted', { paused: true })]
    expect(after(facts).rows(domainStatesTable).get(key)).toMatchObject({ state: 'paused', reason: 'user' })
    expect(after(running.slice(0, 3)).rows(domainStatesTable).get(key)).toMatchObject({
      state: 'starting',
      domain_id: 1,
    })
    const failed = after([...running.slice(0, 3), factOf('DomainStartFailed')])
    expect(failed.rows(domainStatesTable).get(key)).toMatchObject({ state: 'shutoff', reason: 'failed', domain_id: -1 })
  })
})

describe('disk_layers', () => {
  test('name the role of each layer', () => {
    const facts = [
      ...running,
      factOf('SnapshotCreated'),
      factOf('BackingChainDetected', { disk: 'vdb', layers: [layerOf(9)] }),
    ]
    const rows = [...after(facts).rows(diskLayersTable).all()]
    expect(
      rows.map((row) => `${row.disk} ${row.ordinal} ${row.layer} ${row.role} ${row.created_by}`).toSorted(byText),
    ).toEqual([
      'vda 0 3 active snapshot s1',
      'vda 1 2 intermediate detection',
      'vda 2 1 base detection',
      'vdb 0 9 active detection',
    ])
  })
})

describe('block_jobs', () => {
  test('follow a job to its end, and keep it', () => {
    const job = (...facts: readonly AnyFact[]) =>
      after([...running, factOf('BlockJobRequested'), ...facts], { reason: 'CHG-2' })
        .rows(blockJobsTable)
        .get({ job_id: 'job' })
    expect(job()).toMatchObject({ state: 'requested', requested_by: 'virsh', reason: 'CHG-2', ended_at_us: null })
    expect(job(factOf('BlockJobStarted'))?.state).toBe('running')
    expect(job(factOf('BlockJobReady'))?.state).toBe('ready')
    expect(job(factOf('BlockJobReady'), factOf('BlockJobPivotRequested'))).toMatchObject({
      state: 'ready',
      pivot_requested: true,
    })
    expect(job(factOf('BlockJobPivoting'))?.state).toBe('pivoting')
    expect(job(factOf('BlockJobFinalizing'))?.state).toBe('finalizing')
    const ends = [
      [factOf('BlockJobPivoted'), 'pivoted', null],
      [factOf('BlockJobCompleted'), 'completed', null],
      [factOf('BlockJobCancelled'), 'cancelled', null],
      [factOf('BlockJobFailed'), 'failed', 'no space'],
      [factOf('BlockJobLost'), 'lost', 'nobody knows'],
    ] as const
    for (const [fact, state, error] of ends) {
      expect(job(fact)).toMatchObject({ state, error, ended_at_us: 1_700_000_000_000_005n })
    }
  })

  test('are found by their domain while they live', () => {
    const jobs = (...facts: readonly AnyFact[]) =>
      after([factOf('BlockJobRequested'), ...facts])
        .rows(blockJobsTable)
        .by('by_domain', 'u').length
    expect([jobs(), jobs(factOf('BlockJobFailed'))]).toEqual([1, 0])
  })
})

describe('open_intents', () => {
  const open = (...facts: readonly AnyFact[]) =>
    [
      ...after([...running, ...facts])
        .rows(openIntentsTable)
        .all(),
    ].map((row) => row.intent)

  test.each([
    ['DomainStartRequested', factOf('DomainStarted')],
    ['DomainSuspendRequested', factOf('DomainSuspended')],
    ['DomainResumeRequested', factOf('DomainResumed')],
    ['DomainResetRequested', factOf('DomainReset')],
    ['DomainShutdownRequested', factOf('DomainPowerButtonPressed')],
    ['DomainDestroyRequested', factOf('DomainDestroyed')],
    ['SnapshotRequested', factOf('SnapshotCreated')],
  ] as const)('hold %s until its outcome, its failure or the end of the run', (intent, outcome) => {
    expect(open(factOf(intent))).toEqual([intent])
    expect(open(factOf(intent), outcome)).toEqual([])
    expect(open(factOf(intent), factOf('CommandFailed', { intent }))).toEqual([])
    for (const end of ['DomainDestroyed', 'DomainShutOff', 'DomainCrashed', 'DomainStartFailed'] as const) {
      expect(open(factOf(intent), factOf(end))).toEqual([])
    }
  })

  test('are not closed by what the hypervisor or the guest did by itself', () => {
    const own = [
      factOf('DomainSuspended', { cause: 'hypervisor' }),
      factOf('DomainResumed', { cause: 'hypervisor' }),
      factOf('DomainReset', { cause: 'guest' }),
    ]
    for (const intent of ['DomainSuspendRequested', 'DomainResumeRequested', 'DomainResetRequested'] as const) {
      expect(open(factOf(intent), ...own)).toEqual([intent])
    }
  })

  test('name the command that asked', () => {
    const [row] = after([factOf('DomainSuspendRequested')], { procedure: 'DOMAIN_SUSPEND' })
      .rows(openIntentsTable)
      .all()
    expect(row).toMatchObject({ procedure: 'DOMAIN_SUSPEND', requested_by: 'virsh', domain_uuid: 'u' })
  })
})

describe('rows of a domain', () => {
  test('say the same as the model, after every step of any life', () => {
    let jobs = 0
    let snapshots = 0
    fc.assert(
      fc.property(anyLife, (facts) => {
        const rows = new MemoryRows(allProjections)
        let domain = noDomain
        for (const [position, fact] of facts.entries()) {
          rows.apply(recordedFact(fact, { stream: 'domain-u', position }))
          domain = evolveDomain(domain, fact)
          expectSame(rows, domain)
          if (fact.type === 'BlockJobPivoted' || fact.type === 'BlockJobCompleted') jobs++
          if (fact.type === 'SnapshotCreated') snapshots++
        }
      }),
      { numRuns: 25 },
    )
    // The lives are worth living: jobs change chains, snapshots are made.
    expect(jobs).toBeGreaterThan(10)
    expect(snapshots).toBeGreaterThan(10)
  })

  test('are the same when a whole life is one commit', () => {
    fc.assert(
      fc.property(anyLife, (facts) => {
        const events = facts.map((fact, position) => recordedFact(fact, { stream: 'domain-u', position }))
        const atOnce = new MemoryRows(allProjections)
        atOnce.apply(...events)
        const oneByOne = new MemoryRows(allProjections)
        for (const event of events) oneByOne.apply(event)
        expect(atOnce.snapshot()).toEqual(oneByOne.snapshot())
      }),
      { numRuns: 15 },
    )
  })
})

function expectSame(rows: MemoryRows, domain: Domain): void {
  const chains = chainsOf(rows.rows(diskLayersTable).by('by_domain', 'u'))
  expect(chains.byDisk).toEqual(domain.chains.byDisk)
  const tree = rows.rows(snapshotsTable).by('by_domain', 'u')
  expect(Object.fromEntries(tree.map((row) => [row.name, row.parent]))).toEqual(domain.snapshots.parents)
  expect(tree.filter((row) => row.is_current).map((row) => row.name)).toEqual(
    domain.snapshots.current === null ? [] : [domain.snapshots.current],
  )
  const disks = [...rows.rows(snapshotDisksTable).all()].map((row) => row.name)
  expect(new Set(disks)).toEqual(new Set(tree.map((row) => row.name)))
  const jobs = rows.rows(blockJobsTable).by('by_domain', 'u')
  expect(jobs.map((row) => [row.job_id, row.state, row.pivot_requested]).toSorted(byText)).toEqual(
    Object.values(domain.jobs)
      .map((job) => [job.jobId, job.phase, job.pivotRequested])
      .toSorted(byText),
  )
  const starting = domain.run.phase === 'starting' ? ['DomainStartRequested'] : []
  const snapshot = domain.snapshotIntent === null ? [] : ['SnapshotRequested']
  const own = domain.intent === null ? [] : [domain.intent]
  const intents = [...rows.rows(openIntentsTable).all()].map((row) => row.intent)
  expect(intents.toSorted(byText)).toEqual([...starting, ...snapshot, ...own].toSorted(byText))
  const definition = rows.rows(domainDefinitionsTable).get(key)
  expect([definition?.name, definition?.autostart ?? false]).toEqual([domain.definition?.name, domain.autostart])
  const state = rows.rows(domainStatesTable).get(key)
  expect((state?.domain_id ?? -1) !== -1).toBe(domain.run.phase !== 'off')
  if (domain.run.phase === 'running') expect(state?.state).toBe(domain.run.paused ? 'paused' : 'running')
  if (domain.run.phase !== 'off') expect(state?.persistent).toBe(domain.definition !== null)
  expect(viewOf(rows)).toBe(domain.definition !== null || domain.run.phase !== 'off')
}

function viewOf(rows: MemoryRows): boolean {
  const reads = new LiveReads({
    definitions: rows.rows(domainDefinitionsTable),
    states: rows.rows(domainStatesTable),
    layers: rows.rows(diskLayersTable),
    jobs: rows.rows(blockJobsTable),
    snapshots: rows.rows(snapshotsTable),
    snapshotDisks: rows.rows(snapshotDisksTable),
    emulators: rows.rows(emulatorsTable),
    claims: rows.rows(claimsTable),
    intents: rows.rows(openIntentsTable),
  })
  expect(reads.domains().length).toBe(reads.byUuid('u') === null ? 0 : 1)
  return reads.byUuid('u') !== null
}

function byText(a: unknown, b: unknown): number {
  return String(a) < String(b) ? -1 : 1
}
