import type { HypervisorJob } from '../driver/driver.ts'
import type { Host } from '../commands/host.ts'

/** Time between two looks at the jobs that live, in milliseconds. */
const intervalMs = 250

/** How far block jobs are, as last heard; asks only while jobs live, so reads of it never wait for a hypervisor. */
export class JobProgress implements AsyncDisposable {
  readonly #host: Host
  readonly #heard = new Map<string, HypervisorJob>()
  readonly #stop = new AbortController()
  #loop: Promise<void> | null = null

  constructor(host: Host) {
    this.#host = host
  }

  /** The last reading of a job, null before the first one. */
  of(jobId: string): HypervisorJob | null {
    return this.#heard.get(jobId) ?? null
  }

  /** To be called when a job began, or when the daemon found some at its start. */
  wake(): void {
    if (this.#loop !== null || this.#stop.signal.aborted) return
    this.#loop = this.#run().finally(() => {
      this.#loop = null
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#loop
  }

  async #run(): Promise<void> {
    for (;;) {
      const running = this.#host.reads.running().filter((row) => this.#host.reads.jobs(row.domain_uuid).length > 0)
      if (running.length === 0 || this.#stop.signal.aborted) break
      await Promise.all(running.map(async (row) => await this.#ask(row.domain_uuid)))
      await pause(this.#stop.signal)
    }
    this.#heard.clear()
  }

  async #ask(uuid: string): Promise<void> {
    try {
      const jobs = await this.#host.driver.queryJobs(
        uuid,
        AbortSignal.any([this.#stop.signal, AbortSignal.timeout(intervalMs * 4)]),
      )
      for (const job of jobs) this.#heard.set(job.jobId, job)
    } catch {
      // The last reading stands; a silent monitor is reported by the driver itself.
    }
  }
}

async function pause(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, intervalMs)
  signal.addEventListener('abort', () => resolve(), { once: true })
  await promise
  clearTimeout(timer)
}
