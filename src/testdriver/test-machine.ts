import type { DiskLayer, HypervisorJobStatus } from '../driver/driver.ts'

/** A running domain of the test driver: what QEMU's process is to a real one. A value; each change makes a new one. */
export interface TestMachine {
  readonly uuid: string
  readonly name: string
  readonly pid: number
  readonly startTicks: bigint
  readonly cpus: 'prelaunch' | 'running' | 'paused'
  /** Moment up to which the counters below are right. */
  readonly atMs: number
  /** Time during which the guest's CPUs ran. */
  readonly ranMs: number
  /** Value of `ranMs` at which the guest, asked to power down, does so. */
  readonly powerOffAtRanMs: number | null
  readonly memoryBytes: bigint
  readonly balloonBytes: bigint | null
  readonly disks: readonly TestDisk[]
  readonly jobs: readonly TestJob[]
}

/** A disk of a running domain, active image first. */
export interface TestDisk {
  readonly target: string
  readonly readOnly: boolean
  readonly capacityBytes: bigint
  readonly layers: readonly DiskLayer[]
  /** Time during which the guest could write: its CPUs ran and no job held its writes. */
  readonly wroteMs: number
}

/** A block job. */
export interface TestJob {
  readonly jobId: string
  readonly target: string
  readonly kind: 'pull' | 'commit' | 'active_commit'
  readonly topIndex: number
  readonly baseIndex: number | null
  readonly status: HypervisorJobStatus
  /** When this status, or this speed, began. */
  readonly sinceMs: number
  /** Bytes done at `sinceMs`. */
  readonly currentBytes: bigint
  readonly totalBytes: bigint
  /** Limit; 0 = none. */
  readonly bytesPerSecond: bigint
  /** Finalize was asked for; the job ends after one step. */
  readonly finalizing: boolean
  readonly error: string | null
}

/** How fast things happen. */
export interface TestPace {
  /** What a job does without a limit. */
  readonly jobBytesPerSecond: bigint
  /** Data that a job moves for one image. */
  readonly layerBytes: bigint
  /** Length of a job's short states (waiting, aborting, the end after finalize). */
  readonly stepMs: number
  /** CPU time that a guest takes to power down. */
  readonly powerOffMs: number
}

/** Quick enough for a person who watches, slow enough to see READY come. */
export const defaultPace: TestPace = {
  jobBytesPerSecond: 256n * 1024n * 1024n,
  layerBytes: 64n * 1024n * 1024n,
  stepMs: 5,
  powerOffMs: 200,
}

/** Lets the counters run up to a moment at which nothing else has changed. */
export function accountUntil(machine: TestMachine, atMs: number): TestMachine {
  const elapsedMs = Math.max(0, atMs - machine.atMs)
  if (machine.cpus !== 'running' || elapsedMs === 0) return { ...machine, atMs: machine.atMs + elapsedMs }
  const held = new Set(machine.jobs.filter((job) => job.status === 'pending').map((job) => job.target))
  return {
    ...machine,
    atMs: machine.atMs + elapsedMs,
    ranMs: machine.ranMs + elapsedMs,
    disks: machine.disks.map((disk) =>
      disk.readOnly || held.has(disk.target) ? disk : { ...disk, wroteMs: disk.wroteMs + elapsedMs },
    ),
  }
}

/** Bytes that a job has done at a moment. */
export function doneBytes(job: TestJob, atMs: number, pace: TestPace): bigint {
  if (job.status !== 'running') return job.currentBytes
  const elapsedMs = BigInt(Math.max(0, Math.floor(atMs - job.sinceMs)))
  const done = job.currentBytes + (elapsedMs * speedOf(job, pace)) / 1000n
  return done < job.totalBytes ? done : job.totalBytes
}

/** Milliseconds until a running job has done everything. */
export function remainingMs(job: TestJob, pace: TestPace): number {
  const speed = speedOf(job, pace)
  return Number(((job.totalBytes - job.currentBytes) * 1000n + speed - 1n) / speed)
}

function speedOf(job: TestJob, pace: TestPace): bigint {
  const limited = job.bytesPerSecond > 0n && job.bytesPerSecond < pace.jobBytesPerSecond
  return limited ? job.bytesPerSecond : pace.jobBytesPerSecond
}
