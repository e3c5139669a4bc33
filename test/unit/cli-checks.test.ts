import { describe, expect, test } from 'vitest'
import { type CommitRow, LogCheck } from '../../src/cli/check-log.ts'
import { type Hold, OverlapCheck } from '../../src/cli/check-overlaps.ts'
import { Findings, mostFindings } from '../../src/cli/check-result.ts'
import { checkChains, checkJobEnds, type OpenJob, type RunningDomain } from '../../src/cli/check-running.ts'
import { TaskCheck } from '../../src/cli/check-tasks.ts'
import { eventLeaf } from '../../src/eventstore/event-leaf.ts'
import type { RecordedEvent } from '../../src/eventstore/recorded-event.ts'
import { appendLeaves, emptyTree, treeRoot } from '../../src/eventstore/tree-edge.ts'
import { ToldLog } from '../support/told-events.ts'

interface Committed {
  readonly commit: CommitRow
  readonly events: readonly RecordedEvent[]
}

/** A whole and true log: the genesis, then one commit for each event of two streams. */
function wholeLog(): Committed[] {
  const log = new ToldLog()
  for (let at = 0; at < 6; at++) log.add('DomainSuspendRequested', {}, { stream: `domain-${at % 2}` })
  let edge = emptyTree
  const first = {
    commitNo: 0n,
    prevCommit: null,
    prevLast: null,
    firstPos: 0n,
    lastPos: -1n,
    atUs: 1n,
    epoch: 0,
    root: treeRoot(edge),
  }
  const commits: Committed[] = [{ commit: first, events: [] }]
  for (const { recorded } of log.events) {
    edge = appendLeaves(edge, [eventLeaf(recorded)])
    const { position, commitNo, recordedAtUs: atUs, epoch } = recorded
    const links = { prevCommit: commitNo - 1n, prevLast: position - 1n, firstPos: position, lastPos: position }
    commits.push({ commit: { commitNo, ...links, atUs, epoch, root: treeRoot(edge) }, events: [recorded] })
  }
  return commits
}

function checked(commits: readonly Committed[]): ReturnType<LogCheck['results']> {
  const check = new LogCheck()
  for (const { commit, events } of commits) check.take(commit, events)
  return check.results()
}

function altered(
  at: number,
  change: { readonly commit?: Partial<CommitRow>; readonly event?: Partial<RecordedEvent> },
): Committed[] {
  return wholeLog().map((one, index) =>
    index === at
      ? {
          commit: { ...one.commit, ...change.commit },
          events: one.events.map((event) => ({ ...event, ...change.event })),
        }
      : one,
  )
}

describe('LogCheck', () => {
  test('finds nothing in a whole log', () => {
    const { chain, tree } = checked(wholeLog())
    expect(chain).toMatchObject({ state: 'ok', note: '6 events in 7 commits, 2 streams' })
    expect(tree.state).toBe('ok')
  })

  test.each([
    ['a revision that is missing', { event: { revision: 5n } }, 'is revision 5 of domain-0, it should be 1'],
    ['an event in the wrong commit', { event: { commitNo: 9n } }, '@2 is of commit 9'],
    [
      'a commit that names another before it',
      { commit: { prevCommit: 1n } },
      'names 1 as the one before it, that is 2',
    ],
    ['a commit that begins too late', { commit: { firstPos: 3n } }, 'begins at @3, the one before it ends at @1'],
    ['a commit stamped too early', { commit: { atUs: 0n } }, 'is not stamped later'],
    ['an epoch that steps back', { commit: { epoch: 0 } }, 'is of epoch 0'],
  ])('finds %s', (_what, change, text) => {
    const { chain } = checked(altered(3, change))
    expect(chain.state).toBe('finding')
    expect(chain.findings.join('\n')).toContain(text)
  })

  test('finds a gap and a missing event', () => {
    const commits = wholeLog()
    expect(checked([...commits.slice(0, 3), ...commits.slice(4)]).chain.findings[0]).toContain('commit 4 names 3')
    const emptied = commits.map((one, at) => (at === 2 ? { ...one, events: [] } : one))
    expect(checked(emptied).chain.findings[0]).toBe('commit 2 has 0 events, its positions say 1')
  })

  test.each([
    ['data', { data: Buffer.from('{"x":1}') }],
    ['metadata', { meta: Buffer.from('{}') }],
    ['type', { type: 'DomainResumeRequested' }],
    ['event id', { eventId: '0197c0de-0000-7000-9000-0000000000ff' }],
    ['time', { recordedAtUs: 1_700_000_000_000_001n }],
  ])('finds altered %s by the tree, and names the first wrong commit only', (_what, event) => {
    const { tree, chain } = checked(altered(3, { event }))
    expect(chain.state).toBe('ok')
    expect(tree.findings).toEqual([expect.stringContaining('commit 3 (events @2 to @2)')])
  })

  test('finds an altered root', () => {
    expect(checked(altered(6, { commit: { root: new Uint8Array(32) } })).tree.findings).toHaveLength(1)
  })
})

describe('TaskCheck', () => {
  const run = (log: ToldLog): ReturnType<TaskCheck['results']> => {
    const check = new TaskCheck()
    for (const event of log.audited()) check.take(event)
    return check.results()
  }
  const refusal = { procedure: 'P', rule: 'invalid_arg', message: 'no', subject: null, count: 1 }

  test('finds nothing where refusals changed nothing and every task kept to one version', () => {
    const log = new ToldLog()
    log.add('EmulatorProbeFailed', { binary: '/q', error: 'no', file: null, identity: null }, { commandId: 'c1' })
    log.add('CommandRefused', refusal, { commandId: 'c1' })
    log.add('DomainSuspendRequested', {}, { commandId: 'c2', capsId: 'v1' })
    log.add('DomainSuspended', { cause: 'request' }, { commandId: 'c2', capsId: 'v1' })
    expect(run(log)).toMatchObject({
      refused: { state: 'ok', note: '1 refusals' },
      mixed: { state: 'ok', note: '1 tasks' },
    })
  })

  test('finds a refused command that left something behind', () => {
    const log = new ToldLog()
    log.add('DomainSuspendRequested', {}, { commandId: 'c1' })
    log.add('CommandRefused', refusal, { commandId: 'c1' })
    expect(run(log).refused.findings).toEqual(['@1 refuses command c1, which has recorded DomainSuspendRequested @0'])
  })

  test('finds a task that saw two versions', () => {
    const log = new ToldLog()
    log.add('DomainSuspendRequested', {}, { commandId: 'c1', capsId: 'v1' })
    log.add('DomainSuspended', { cause: 'request' }, { commandId: 'c1', capsId: 'v2' })
    expect(run(log).mixed.findings).toEqual(['@1 DomainSuspended: command c1 used version v1, now v2'])
  })
})

describe('checkChains() and checkJobEnds()', () => {
  const running = (values: Partial<RunningDomain> = {}): RunningDomain => ({
    domain: { uuid: 'u1', name: 'web' },
    error: null,
    disks: [{ disk: 'vda', recorded: ['/b', '/a'], found: ['/b', '/a'] }],
    jobs: ['j1'],
    ...values,
  })
  const job: OpenJob = { jobId: 'j1', domain: 'web', uuid: 'u1', disk: 'vda', state: 'running', running: true }
  const known = new Set(['j1'])

  test('find nothing where log and hypervisor agree, or a job is just changing the chain', () => {
    const changing = running({ disks: [{ disk: 'vda', recorded: ['/b', '/a'], found: null }] })
    expect(checkChains([running(), changing])).toMatchObject({ state: 'ok', note: '1 disks of 2 running domains' })
    expect(checkJobEnds([job], { domains: [running()], known }).state).toBe('ok')
  })

  test('say where chains part', () => {
    const other = running({ disks: [{ disk: 'vda', recorded: ['/b', '/a'], found: ['/a'] }] })
    expect(checkChains([other]).findings).toEqual(['web vda differs at /b: recorded /b <- /a, the hypervisor has /a'])
  })

  test('find a hypervisor that does not answer', () => {
    expect(checkChains([running({ error: 'timed out', disks: [] })]).findings).toEqual([
      'domain "web" could not be asked: timed out',
    ])
  })

  test('find a job without an end that the hypervisor does not have, or whose domain is shut off', () => {
    expect(checkJobEnds([job], { domains: [running({ jobs: [] })], known }).findings).toHaveLength(1)
    expect(checkJobEnds([{ ...job, running: false }], { domains: [], known }).findings[0]).toContain('is shut off')
    expect(checkJobEnds([job], { domains: [running({ error: 'silent', jobs: [] })], known }).state).toBe('ok')
  })

  test('find a job of the hypervisor that nobody asked for', () => {
    expect(checkJobEnds([], { domains: [running({ jobs: ['foreign'] })], known }).findings).toEqual([
      'the hypervisor of "web" has job foreign, of which the log knows nothing',
    ])
  })

  test('say that nobody was asked where no daemon runs', () => {
    expect(checkChains(null).state).toBe('skipped')
    expect(checkJobEnds([job], { domains: null, known: new Set() })).toMatchObject({
      state: 'ok',
      note: expect.stringContaining('no daemon runs here'),
    })
  })
})

describe('OverlapCheck', () => {
  const hold = (holder: string, [from, to]: readonly [bigint, bigint | null], values: Partial<Hold> = {}): Hold => ({
    what: 'domain u1',
    holder,
    from,
    to,
    epoch: 1,
    ...values,
  })
  const check = (...holds: readonly Hold[]) => {
    const overlaps = new OverlapCheck()
    for (const one of holds) overlaps.take(one)
    return overlaps.result()
  }

  test('finds nothing where one follows the other, on other domains, by one command or after a restart', () => {
    expect(check(hold('a', [1n, 2n]), hold('b', [2n, 3n]), hold('b', [2n, null])).state).toBe('ok')
    expect(check(hold('a', [1n, 9n]), hold('b', [2n, 3n], { what: 'domain u2' })).state).toBe('ok')
    expect(check(hold('a', [1n, null]), hold('b', [2n, 3n], { epoch: 2 })).state).toBe('ok')
  })

  test('finds two at the same time', () => {
    expect(check(hold('a', [1n, 5n]), hold('b', [2n, 3n])).findings).toEqual([
      'domain u1: b began at @2, while a lasted since @1',
    ])
    expect(check(hold('a', [1n, null]), hold('b', [20n, null])).state).toBe('finding')
  })
})

test('Findings keeps the first and counts the rest', () => {
  const findings = new Findings()
  for (let at = 0; at < mostFindings + 5; at++) findings.add(`finding ${at}`)
  const { findings: lines } = findings.result({ id: 'X', title: '', note: '' })
  expect([lines.length, lines.at(-1)]).toEqual([mostFindings + 1, 'and 5 more'])
})
