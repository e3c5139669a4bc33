import type { Commands } from '../../src/commands/commands.ts'
import type { CrashPoint } from '../../src/commands/crash-points.ts'
import type { SceneName } from '../support/fault-scenes.ts'

/** Who dies by SIGKILL. With the daemon the domain's QEMU or PostgreSQL may die too; PostgreSQL dies with all its backends; the others go on. */
export const victims = ['daemon', 'daemon+qemu', 'daemon+postgres', 'qemu', 'postgres'] as const

/** One of {@link victims}. */
export type Victim = (typeof victims)[number]

/** States as `domstate` says them; `absent` = there is no such domain, `running or shut off` = the moment decides. */
export type ExpectedState = 'running' | 'paused' | 'shut off' | 'absent' | 'running or shut off'

/** What must hold afterwards, besides everything that must always hold (`test/support/fault-run.ts`). */
export interface Expected {
  readonly state: ExpectedState
  /** Layers of vda, active image first; more than one chain where the moment decides, none = the domain never had one. */
  readonly chains: readonly (readonly string[])[]
  /** Event types that the domain's stream must hold. */
  readonly facts: readonly string[]
  /** A job that lives on and waits for the client; a later pivot must work. */
  readonly job: 'ready' | null
  /** Every read answers byte for byte as before the command. */
  readonly unchanged: boolean
}

/** A command (`none`: nothing is under way), the scene that it is part of, where in it (or right after it was acknowledged) somebody dies, and what is expected. */
export type FaultRow = readonly [
  command: keyof Commands | 'none',
  scene: SceneName,
  point: CrashPoint | 'acknowledged',
  dies: Victim,
  expected: Expected,
]

/** Expects a state, a chain (`s1 < base`; others behind `|`), and facts. */
function is(state: ExpectedState, chain = '', ...facts: readonly string[]): Expected {
  const chains = chain === '' ? [] : chain.split(' | ').map((one) => one.split(' < '))
  return { state, chains, facts, job: null, unchanged: false }
}

function same(expected: Expected): Expected {
  return { ...expected, unchanged: true }
}

const pivoted = is('running', 'base', 'BlockJobPivoting', 'BlockJobPivoted')
const keptReady: Expected = { ...is('running', 's1 < base'), job: 'ready' }

/** The faults that the daemon must survive. A test demands a row for every command and every crash point. */
export const faults: readonly FaultRow[] = [
  // Nothing under way.
  ['none', 'idle', 'acknowledged', 'daemon', same(is('shut off'))],
  ['none', 'idle', 'acknowledged', 'postgres', same(is('shut off'))],
  ['none', 'running', 'acknowledged', 'daemon', same(is('running', 's1 < base'))],
  ['none', 'running', 'acknowledged', 'postgres', same(is('running', 's1 < base'))],
  ['none', 'running', 'acknowledged', 'daemon+postgres', same(is('running', 's1 < base'))],
  ['none', 'running', 'acknowledged', 'qemu', is('shut off', 's1 < base', 'DomainCrashed')],
  ['none', 'running', 'acknowledged', 'daemon+qemu', is('shut off', 's1 < base', 'DomainShutOff')],

  // Definitions.
  ['defineDomain', 'define', 'define.appended', 'daemon', is('shut off')],
  ['defineDomain', 'define', 'define.appended', 'postgres', is('shut off')],
  ['defineDomain', 'define', 'define.appended', 'daemon+postgres', is('shut off')],
  ['undefineDomain', 'undefine', 'acknowledged', 'daemon', is('absent')],
  ['setAutostart', 'autostart', 'acknowledged', 'daemon', is('shut off', '', 'DomainAutostartChanged')],
  ['adoptChain', 'adopt', 'acknowledged', 'daemon', is('shut off', 'base', 'BackingChainAdopted')],
  ['forgetCapabilities', 'forget', 'acknowledged', 'daemon', same(is('shut off'))],
  ['probeEmulator', 'probe', 'acknowledged', 'daemon', same(is('shut off'))],
  ['knownEmulators', 'probe', 'acknowledged', 'postgres', same(is('shut off'))],
  ['checkDomains', 'check', 'acknowledged', 'daemon', same(is('running', 'base'))],

  // Start.
  ['startDomain', 'start', 'start.requested', 'daemon', is('shut off', 'base', 'DomainStartFailed')],
  ['startDomain', 'start', 'start.spawned', 'daemon', is('shut off', 'base', 'DomainStartFailed')],
  ['startDomain', 'start', 'start.started', 'daemon', is('running', 'base')],
  ['startDomain', 'startPaused', 'start.started', 'daemon', is('paused', 'base')],
  ['startDomain', 'start', 'start.spawned', 'daemon+qemu', is('shut off', 'base', 'DomainStartFailed')],
  ['startDomain', 'start', 'start.started', 'daemon+qemu', is('shut off', 'base', 'DomainShutOff')],
  ['startDomain', 'start', 'start.spawned', 'qemu', is('shut off', 'base')],
  ['startDomain', 'start', 'start.started', 'qemu', is('shut off', 'base', 'DomainCrashed')],
  ['startDomain', 'start', 'start.requested', 'postgres', is('running or shut off', 'base')],
  ['startDomain', 'start', 'start.spawned', 'postgres', is('running or shut off', 'base')],
  ['startDomain', 'start', 'acknowledged', 'daemon', is('running', 'base')],

  // End.
  ['destroyDomain', 'destroy', 'destroy.requested', 'daemon', is('shut off', 'base', 'DomainDestroyed')],
  ['destroyDomain', 'destroy', 'destroy.acted', 'daemon', is('shut off', 'base', 'DomainDestroyed')],
  ['destroyDomain', 'destroy', 'destroy.requested', 'daemon+qemu', is('shut off', 'base', 'DomainDestroyed')],
  ['destroyDomain', 'destroy', 'destroy.requested', 'qemu', is('shut off', 'base')],
  ['destroyDomain', 'destroy', 'destroy.acted', 'postgres', is('shut off', 'base', 'DomainDestroyed')],
  ['shutdownDomain', 'shutdown', 'acknowledged', 'daemon', is('shut off', 'base', 'DomainShutOff')],

  // Small changes of a run.
  ['suspendDomain', 'suspend', 'suspend.requested', 'daemon', is('running', 'base', 'CommandFailed')],
  ['suspendDomain', 'suspend', 'suspend.acted', 'daemon', is('paused', 'base', 'DomainSuspended')],
  ['suspendDomain', 'suspend', 'suspend.acted', 'daemon+qemu', is('shut off', 'base')],
  ['suspendDomain', 'suspend', 'suspend.requested', 'qemu', is('shut off', 'base')],
  ['suspendDomain', 'suspend', 'suspend.acted', 'postgres', is('paused', 'base', 'DomainSuspended')],
  ['resumeDomain', 'resume', 'resume.requested', 'daemon', is('paused', 'base', 'CommandFailed')],
  ['resumeDomain', 'resume', 'resume.acted', 'daemon', is('running', 'base', 'DomainResumed')],
  ['resumeDomain', 'resume', 'resume.acted', 'daemon+qemu', is('shut off', 'base')],
  ['resumeDomain', 'resume', 'resume.acted', 'postgres', is('running', 'base', 'DomainResumed')],
  ['resetDomain', 'reset', 'acknowledged', 'daemon', is('running', 'base', 'DomainReset')],

  // Snapshots.
  ['createSnapshot', 'snapshot', 'snapshot.requested', 'daemon', same(is('running', 'base', 'CommandFailed'))],
  ['createSnapshot', 'snapshot', 'snapshot.files', 'daemon', same(is('running', 'base', 'CommandFailed'))],
  ['createSnapshot', 'snapshot', 'snapshot.acted', 'daemon', is('running', 's1 < base', 'SnapshotCreated')],
  ['createSnapshot', 'snapshotOfTwo', 'snapshot.files', 'daemon', same(is('running', 'base'))],
  ['createSnapshot', 'snapshotOfTwo', 'snapshot.acted', 'daemon', is('running', 's1 < base', 'SnapshotCreated')],
  ['createSnapshot', 'snapshotWhileOff', 'snapshot.requested', 'daemon', is('shut off', 'base', 'CommandFailed')],
  ['createSnapshot', 'snapshotWhileOff', 'snapshot.files', 'daemon', is('shut off', 's1 < base', 'SnapshotCreated')],
  ['createSnapshot', 'snapshotWhileOff', 'acknowledged', 'daemon', is('shut off', 's1 < base', 'SnapshotCreated')],
  ['createSnapshot', 'snapshot', 'snapshot.files', 'daemon+qemu', is('shut off', 'base | s1 < base')],
  ['createSnapshot', 'snapshot', 'snapshot.acted', 'daemon+qemu', is('shut off', 's1 < base', 'SnapshotCreated')],
  ['createSnapshot', 'snapshotOfTwo', 'snapshot.acted', 'daemon+qemu', is('shut off', 's1 < base', 'SnapshotCreated')],
  ['createSnapshot', 'snapshot', 'snapshot.files', 'qemu', is('shut off', 'base | s1 < base')],
  ['createSnapshot', 'snapshot', 'snapshot.acted', 'qemu', is('shut off', 's1 < base')],
  ['createSnapshot', 'snapshot', 'snapshot.acted', 'postgres', is('running', 's1 < base', 'SnapshotCreated')],
  ['deleteSnapshot', 'snapshotDelete', 'acknowledged', 'daemon', is('running', 's1 < base', 'SnapshotDeleted')],

  // Active commit, the pivot asked for up front: carried out by the daemon, whoever died meanwhile.
  ['commitBlocks', 'commitToPivot', 'job.requested', 'daemon', is('running', 's1 < base', 'BlockJobFailed')],
  ['commitBlocks', 'commitToPivot', 'job.running', 'daemon', pivoted],
  ['commitBlocks', 'commitToPivot', 'job.ready', 'daemon', pivoted],
  ['commitBlocks', 'commitToPivot', 'job.pending', 'daemon', pivoted],
  ['commitBlocks', 'commitToPivot', 'job.recorded', 'daemon', pivoted],
  ['commitBlocks', 'commitToPivot', 'job.finalized', 'daemon', pivoted],
  ['commitBlocks', 'commitToPivot', 'job.running', 'daemon+qemu', is('shut off', 's1 < base', 'BlockJobFailed')],
  ['commitBlocks', 'commitToPivot', 'job.running', 'qemu', is('shut off', 's1 < base', 'BlockJobFailed')],
  ['commitBlocks', 'commitToPivot', 'job.running', 'postgres', is('running', 'base | s1 < base')],

  // Active commit without a pivot asked for: left at READY.
  ['commitBlocks', 'commit', 'job.requested', 'daemon', is('running', 's1 < base', 'BlockJobFailed')],
  ['commitBlocks', 'commit', 'job.running', 'daemon', keptReady],
  ['commitBlocks', 'commit', 'job.ready', 'daemon', keptReady],
  ['commitBlocks', 'commit', 'job.ready', 'daemon+qemu', is('shut off', 's1 < base', 'BlockJobFailed')],
  ['commitBlocks', 'commit', 'acknowledged', 'postgres', keptReady],
  ['setBlockJobSpeed', 'speed', 'acknowledged', 'daemon', keptReady],

  // The client's call to pivot, or to give up.
  ['endBlockJob', 'pivot', 'job.pivotRequested', 'daemon', pivoted],
  ['endBlockJob', 'pivot', 'job.pending', 'daemon', pivoted],
  ['endBlockJob', 'pivot', 'job.recorded', 'daemon', pivoted],
  ['endBlockJob', 'pivot', 'job.finalized', 'daemon', pivoted],
  ['endBlockJob', 'pivot', 'job.concluded', 'daemon', pivoted],
  ['endBlockJob', 'pivot', 'job.outcome', 'daemon', pivoted],
  ['endBlockJob', 'pivot', 'acknowledged', 'daemon', pivoted],
  ['endBlockJob', 'pivot', 'job.pivotRequested', 'daemon+qemu', is('shut off', 's1 < base', 'BlockJobFailed')],
  ['endBlockJob', 'pivot', 'job.pending', 'daemon+qemu', is('shut off', 's1 < base', 'BlockJobFailed')],
  ['endBlockJob', 'pivot', 'job.recorded', 'daemon+qemu', is('shut off', 'base', 'BlockJobPivoted')],
  ['endBlockJob', 'pivot', 'job.finalized', 'daemon+qemu', is('shut off', 'base', 'BlockJobPivoted')],
  ['endBlockJob', 'pivot', 'job.concluded', 'daemon+qemu', is('shut off', 'base', 'BlockJobPivoted')],
  ['endBlockJob', 'pivot', 'job.outcome', 'daemon+qemu', is('shut off', 'base', 'BlockJobPivoted')],
  ['endBlockJob', 'pivot', 'job.recorded', 'qemu', is('shut off', 'base', 'BlockJobPivoted')],
  ['endBlockJob', 'pivot', 'job.pending', 'qemu', is('shut off', 's1 < base | base')],
  ['endBlockJob', 'pivot', 'job.pending', 'postgres', is('running', 'base | s1 < base')],
  ['endBlockJob', 'pivot', 'job.recorded', 'postgres', pivoted],
  ['endBlockJob', 'pivot', 'job.recorded', 'daemon+postgres', pivoted],
  ['endBlockJob', 'pivot', 'job.concluded', 'postgres', pivoted],
  ['endBlockJob', 'abort', 'job.concluded', 'daemon', is('running', 's1 < base', 'BlockJobCancelled')],

  // Pull.
  ['pullBlocks', 'pull', 'job.requested', 'daemon', is('running', 's1 < base', 'BlockJobFailed')],
  ['pullBlocks', 'pull', 'job.pending', 'daemon', is('running', 's1', 'BlockJobCompleted')],
  ['pullBlocks', 'pull', 'job.recorded', 'daemon', is('running', 's1', 'BlockJobCompleted')],
  ['pullBlocks', 'pull', 'job.finalized', 'daemon', is('running', 's1', 'BlockJobCompleted')],
  ['pullBlocks', 'pull', 'job.concluded', 'daemon', is('running', 's1', 'BlockJobCompleted')],
  ['pullBlocks', 'pull', 'job.outcome', 'daemon', is('running', 's1', 'BlockJobCompleted')],
  ['pullBlocks', 'pull', 'job.pending', 'daemon+qemu', is('shut off', 's1 < base', 'BlockJobFailed')],
  ['pullBlocks', 'pull', 'job.recorded', 'daemon+qemu', is('shut off', 's1 < base', 'BlockJobFailed')],
  ['pullBlocks', 'pull', 'job.finalized', 'daemon+qemu', is('shut off', 's1', 'BlockJobCompleted')],
  ['pullBlocks', 'pull', 'job.concluded', 'qemu', is('shut off', 's1', 'BlockJobCompleted')],
  ['pullBlocks', 'pull', 'job.concluded', 'postgres', is('running', 's1', 'BlockJobCompleted')],

  // Commit of a layer in the middle.
  ['commitBlocks', 'commitMiddle', 'job.recorded', 'daemon', is('running', 's2 < base')],
  ['commitBlocks', 'commitMiddle', 'job.finalized', 'daemon', is('running', 's2 < base')],
  ['commitBlocks', 'commitMiddle', 'job.finalized', 'daemon+qemu', is('shut off', 's2 < base')],
]
