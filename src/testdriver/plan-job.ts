import type { BlockJobStart, DiskLayer } from '../driver/driver.ts'
import { Fault } from '../util/fault.ts'
import type { TestDisk, TestJob, TestMachine, TestPace } from './test-machine.ts'

/** The job that a request starts, in state created; refused as a real hypervisor would refuse it. */
export function planJob(machine: TestMachine, start: BlockJobStart, pace: TestPace): TestJob {
  const refuse = (why: string): never => {
    throw new Fault(
      'operation_invalid',
      `Cannot start a block job on disk "${start.target}" of domain "${machine.name}": ${why}`,
      {
        subject: start.target,
      },
    )
  }
  const disk = machine.disks.find((candidate) => candidate.target === start.target)
  if (disk === undefined) return refuse('there is no such disk')
  if (machine.jobs.some((job) => job.jobId === start.jobId)) refuse(`the id ${start.jobId} is in use`)
  const busy = machine.jobs.find((job) => job.target === start.target)
  if (busy !== undefined) refuse(`job ${busy.jobId} is ${busy.status}, it must be dismissed`)
  const positionOf = (layer: DiskLayer): number => {
    const at = disk.layers.findIndex((candidate) => candidate.index === layer.index && candidate.path === layer.path)
    return at === -1 ? refuse(`image "${layer.path}" is not in its chain`) : at
  }
  const topAt = positionOf(start.top)
  const baseAt = start.base === null ? disk.layers.length : positionOf(start.base)
  if (baseAt <= topAt) refuse(`base "${start.base?.path}" does not lie below top "${start.top.path}"`)
  if (start.kind === 'active_commit' && topAt !== 0) refuse(`top "${start.top.path}" is not the active image`)
  if (start.kind === 'commit' && topAt === 0) refuse(`top "${start.top.path}" is the active image`)
  return {
    jobId: start.jobId,
    target: start.target,
    kind: start.kind,
    topIndex: start.top.index,
    baseIndex: start.base?.index ?? null,
    status: 'created',
    sinceMs: machine.atMs,
    currentBytes: 0n,
    totalBytes: pace.layerBytes * BigInt(start.kind === 'pull' ? baseAt - topAt - 1 : baseAt - topAt),
    bytesPerSecond: start.bytesPerSecond,
    finalizing: false,
    error: null,
  }
}

/** The disk with an overlay on top; refused when the disk, the active image or the overlay is not what the request says. */
export function diskWithOverlay(
  machine: TestMachine,
  snapshot: { readonly target: string; readonly active: DiskLayer; readonly overlay: DiskLayer },
): TestDisk {
  const refuse = (why: string): never => {
    throw new Fault(
      'operation_invalid',
      `Cannot snapshot disk "${snapshot.target}" of domain "${machine.name}": ${why}`,
      {
        subject: snapshot.target,
      },
    )
  }
  const disk = machine.disks.find((candidate) => candidate.target === snapshot.target)
  if (disk === undefined) return refuse('there is no such disk')
  const active = disk.layers[0]
  if (active?.index !== snapshot.active.index || active.path !== snapshot.active.path) {
    refuse(`its active image is "${active?.path}", not "${snapshot.active.path}"`)
  }
  const busy = machine.jobs.find((job) => job.target === snapshot.target)
  if (busy !== undefined) refuse(`job ${busy.jobId} is ${busy.status}, it must be dismissed`)
  const used = machine.disks.flatMap((candidate) => candidate.layers)
  if (used.some((layer) => layer.index === snapshot.overlay.index || layer.path === snapshot.overlay.path)) {
    refuse(`image "${snapshot.overlay.path}" (${snapshot.overlay.index}) is in use`)
  }
  return { ...disk, layers: [snapshot.overlay, ...disk.layers] }
}
