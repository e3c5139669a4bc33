import type { DriverFact, HypervisorJobStatus } from '../driver/driver.ts'
import { chainAfterJob } from './chain-after-job.ts'
import { accountUntil, remainingMs, type TestJob, type TestMachine, type TestPace } from './test-machine.ts'

/** What the next thing that happens by itself makes of a machine; null = its process ended. */
export interface MachineStep {
  readonly atMs: number
  readonly machine: TestMachine | null
  readonly facts: readonly DriverFact[]
}

/** The next thing that happens to a machine by itself, whenever that is; null when nothing will. */
export function nextStep(machine: TestMachine, pace: TestPace): MachineStep | null {
  const jobSteps = machine.jobs.flatMap((job) => {
    const next = nextStatus(job, pace)
    return next === null ? [] : [{ ...next, job }]
  })
  const first = jobSteps.toSorted((one, other) => one.atMs - other.atMs)[0]
  const powerOffAtMs = powerOffTime(machine)
  if (powerOffAtMs !== null && (first === undefined || powerOffAtMs <= first.atMs)) {
    return { atMs: powerOffAtMs, machine: null, facts: powerOffFacts(machine) }
  }
  if (first === undefined) return null
  const accounted = accountUntil(machine, first.atMs)
  return { atMs: first.atMs, ...withJobStatus(accounted, first.job, first.status) }
}

/** Moves a job to a state: the chain changes when it concludes well, and the change is reported. */
export function withJobStatus(
  machine: TestMachine,
  job: TestJob,
  status: HypervisorJobStatus,
): { readonly machine: TestMachine; readonly facts: readonly DriverFact[] } {
  const allDone = status === 'ready' || status === 'waiting' || status === 'pending'
  const moved: TestJob = {
    ...job,
    status,
    sinceMs: machine.atMs,
    currentBytes: allDone ? job.totalBytes : job.currentBytes,
    finalizing: false,
  }
  const endedWell = status === 'concluded' && job.error === null
  return {
    machine: {
      ...machine,
      jobs: machine.jobs.map((other) => (other.jobId === job.jobId ? moved : other)),
      disks: machine.disks.map((disk) =>
        endedWell && disk.target === job.target ? { ...disk, layers: chainAfterJob(disk.layers, job) } : disk,
      ),
    },
    facts: [{ kind: 'jobChanged', uuid: machine.uuid, jobId: job.jobId, status }],
  }
}

/** The state that a job reaches by itself, and when. READY, PENDING and CONCLUDED wait for a request. */
function nextStatus(
  job: TestJob,
  pace: TestPace,
): { readonly atMs: number; readonly status: HypervisorJobStatus } | null {
  switch (job.status) {
    case 'created':
      return { atMs: job.sinceMs, status: 'running' }
    case 'running':
      return { atMs: job.sinceMs + remainingMs(job, pace), status: job.kind === 'active_commit' ? 'ready' : 'waiting' }
    case 'waiting':
      return { atMs: job.sinceMs + pace.stepMs, status: 'pending' }
    case 'aborting':
      return { atMs: job.sinceMs + pace.stepMs, status: 'concluded' }
    case 'pending':
      return job.finalizing ? { atMs: job.sinceMs + pace.stepMs, status: 'concluded' } : null
    case 'paused':
    case 'ready':
    case 'standby':
    case 'concluded':
    case 'null':
      return null
  }
}

function powerOffTime(machine: TestMachine): number | null {
  if (machine.cpus !== 'running' || machine.powerOffAtRanMs === null) return null
  return machine.atMs + Math.max(0, machine.powerOffAtRanMs - machine.ranMs)
}

function powerOffFacts({ uuid }: TestMachine): readonly DriverFact[] {
  return [
    { kind: 'guestShutdown', uuid },
    { kind: 'ended', uuid, how: 'shutdown', detail: 'the guest powered down' },
  ]
}
