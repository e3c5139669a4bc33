import { type FactOf, type FactType, newFact } from '../../src/events/catalogue.ts'

const hash = '0'.repeat(64)
const file = { device: 1n, inode: 2n, sizeBytes: 3n, mtimeNs: 4n, ctimeNs: 5n }

/** A layer as detection finds it: number 3 is the file `/l3`. */
export function layerOf(index: number) {
  return { index, path: `/l${index}`, format: 'qcow2' as const, virtualSizeBytes: 1n << 30n, file }
}

/** Plausible data of the facts that tests need most; each member can be given another value. */
const samples = {
  DomainDefined: {
    uuid: 'u',
    name: 'web',
    submittedSha256: hash,
    definitionSha256: hash,
    capsId: 'caps',
    emulator: { binary: 'test', inode: 0n, sizeBytes: 0n, ctimeNs: 0n },
    kept: [],
  },
  DomainUndefined: { name: 'web' },
  DomainForgotten: { name: 'web' },
  DomainAutostartChanged: { autostart: true },
  DomainDefinitionFollowed: { definitionSha256: '1'.repeat(64), disks: [] },
  DomainStartRequested: {
    name: 'web',
    domainId: 1,
    definitionSha256: hash,
    capsId: 'caps',
    emulator: { binary: 'test', inode: 0n, sizeBytes: 0n, ctimeNs: 0n },
    paused: false,
    vncPorts: [5900],
    owners: [],
    cause: 'request',
  },
  DomainStarted: {
    domainId: 1,
    process: { pid: 42, startTicks: 7n, bootId: 'boot' },
    monitorPath: '/run/m',
    commandLineSha256: hash,
    executableSha256: hash,
    virtType: 'test',
    terminals: { serial0: '/dev/pts/3' },
    vncPorts: [5901],
    paused: false,
  },
  DomainStartFailed: { error: 'no memory', restored: [] },
  DomainSuspendRequested: {},
  DomainSuspended: { cause: 'request' },
  DomainResumeRequested: {},
  DomainResumed: { cause: 'request' },
  DomainResetRequested: {},
  DomainReset: { cause: 'request' },
  DomainShutdownRequested: {},
  DomainPowerButtonPressed: {},
  DomainDestroyRequested: {},
  DomainDestroyed: { files: [], restored: [] },
  DomainShutOff: { files: [], restored: [], reason: 'shutdown', detail: '' },
  DomainCrashed: { files: [], restored: [], detail: '' },
  CommandFailed: { intent: 'DomainSuspendRequested', error: 'no answer' },
  BackingChainDetected: { disk: 'vda', layers: [layerOf(2), layerOf(1)] },
  BackingChainAdopted: { disk: 'vda', layers: [layerOf(2), layerOf(1)] },
  BackingChainForgotten: { disk: 'vda' },
  BackingChainVerified: { disk: 'vda', files: [] },
  DriftDetected: { disk: 'vda', layer: '/l1', why: 'it was replaced', recorded: ['/l2', '/l1'], found: [] },
  BlockJobRequested: {
    jobId: 'job',
    disk: 'vda',
    kind: 'active_commit',
    base: 1,
    top: 2,
    onReady: 'keep',
    bytesPerSecond: 0n,
    owners: [],
  },
  BlockJobStarted: { jobId: 'job' },
  BlockJobReady: { jobId: 'job' },
  BlockJobPivotRequested: { jobId: 'job' },
  BlockJobCancelRequested: { jobId: 'job' },
  BlockJobPivoting: { jobId: 'job', from: '/l2', to: '/l1' },
  BlockJobFinalizing: { jobId: 'job' },
  BlockJobPivoted: { jobId: 'job', disk: 'vda', chain: [1], frozenMs: null, settledBy: 'hypervisor' },
  BlockJobCompleted: { jobId: 'job', disk: 'vda', chain: [2], files: [] },
  BlockJobFailed: { jobId: 'job', error: 'no space' },
  BlockJobCancelled: { jobId: 'job', invalid: [] },
  BlockJobLost: { jobId: 'job', why: 'nobody knows' },
  SnapshotRequested: {
    name: 's1',
    description: null,
    parent: null,
    disks: [{ disk: 'vda', active: 2, overlay: 3, path: '/l3' }],
    reuseExternal: false,
    metadata: true,
  },
  SnapshotCreated: {
    name: 's1',
    description: null,
    parent: null,
    state: 'disk-snapshot',
    createdAtUs: 0n,
    disks: [{ disk: 'vda', snapshot: 'external', overlay: layerOf(3) }],
    definitionSha256: hash,
    metadata: true,
  },
  SnapshotDeleted: { name: 's1', metadataOnly: true, newParentOfChildren: null },
  ClaimTaken: { kind: 'image', subject: '/l1', domain: 'u', mode: 'exclusive' },
  ClaimReleased: { kind: 'image', subject: '/l1', domain: 'u' },
} as const satisfies { readonly [Type in FactType]?: FactOf<Type>['data'] }

/** A fact of a type, with its usual data but for what is given. */
export function factOf<Type extends keyof typeof samples>(
  type: Type,
  change?: Partial<FactOf<Type>['data']>,
): FactOf<Type>
export function factOf(type: keyof typeof samples, change: object = {}): object {
  return { ...newFact(type, samples[type]), data: { ...samples[type], ...change } }
}
