import type { HypervisorJobStatus } from '../driver/driver.ts'
import { commandOfJob } from '../model/job-id.ts'
import { isFault } from '../util/fault.ts'
import { advanceJob, endPending, type JobStep } from './advance-job.ts'
import type { Host } from './host.ts'
import { daemonContext } from './daemon-caller.ts'

/** Takes block jobs on, one step of one job at a time; who asks twice at once gets one more look, not two. */
export class JobRunner {
  readonly #host: () => Host
  /** Looks under way, and those that wait for them, by job. */
  readonly #running = new Map<string, Promise<void>>()
  readonly #waiting = new Map<string, Promise<void>>()

  /** The host is asked for late: it holds this runner itself. */
  constructor(host: () => Host) {
    this.#host = host
  }

  /** Looks at a job in the hypervisor and takes it as far as it can go now. Never throws: what fails is tried at the next change. */
  async carryOn(step: JobStep): Promise<void> {
    const { jobId } = step
    // A look that has not begun yet will see whatever made this one necessary.
    const waiting = this.#waiting.get(jobId)
    if (waiting !== undefined) return await waiting
    const running = this.#running.get(jobId)
    if (running === undefined) return await this.#run(step)
    const next = running.then(async () => {
      this.#waiting.delete(jobId)
      await this.#run(step)
    })
    this.#waiting.set(jobId, next)
    await next
  }

  async #run(step: JobStep): Promise<void> {
    const look = this.#look(step).finally(() => this.#running.delete(step.jobId))
    this.#running.set(step.jobId, look)
    await look
  }

  /** For a change that the hypervisor reported by itself. */
  async noticed(uuid: string, jobId: string): Promise<void> {
    await this.carryOn({
      uuid,
      jobId,
      context: daemonContext('BLOCK_JOB', { correlationId: commandOfJob(jobId), causationId: commandOfJob(jobId) }),
    })
  }

  async #look(step: JobStep): Promise<void> {
    const host = this.#host()
    try {
      const jobs = await host.driver.queryJobs(step.uuid, AbortSignal.timeout(host.limits.hypervisorMs))
      const job = jobs.find((one) => one.jobId === step.jobId)
      if (job !== undefined) await this.#advance(step, job.status)
    } catch (error) {
      if (isFault(error, 'log_unavailable')) host.unsettled.add(step.uuid)
      host.notes.warn(
        { err: error, domain: step.uuid, job: step.jobId },
        'A step of a block job failed; it is tried again at its next change',
      )
    }
  }

  async #advance(step: JobStep, status: HypervisorJobStatus): Promise<void> {
    const host = this.#host()
    try {
      await advanceJob(host, step, status)
    } catch (error) {
      if (status === 'pending' && isFault(error, 'log_unavailable')) await endPending(host, step, error)
      throw error
    }
  }
}
