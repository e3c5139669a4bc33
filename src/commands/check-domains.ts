import type { Caller } from './caller.ts'
import type { DomainView } from './reads.ts'
import type { Host } from './host.ts'
import { holderOf } from './run-command.ts'

/** One running domain as the log and its hypervisor have it; chains are paths, active image first. */
export interface CheckedDomain {
  readonly uuid: string
  readonly name: string
  /** Why the hypervisor could not be asked; null where it answered. */
  readonly error: string | null
  readonly disks: readonly CheckedDisk[]
  /** Ids of the block jobs that the hypervisor has. */
  readonly jobs: readonly string[]
}

/** A disk's chain by the log and by the hypervisor; `found` null while a job is about to change it. */
export interface CheckedDisk {
  readonly disk: string
  readonly recorded: readonly string[]
  readonly found: readonly string[] | null
}

/** Domains looked at at the same time. */
const parallel = 8

/** Asks the hypervisor of every running domain for its chains and jobs. Each domain stands still, as for a change, while it is asked. */
export async function checkDomains(host: Host, caller: Caller): Promise<readonly CheckedDomain[]> {
  const waiting = host.reads.domains().filter((domain) => domain.active)
  const checked: CheckedDomain[] = []
  const workers = Array.from({ length: Math.min(parallel, waiting.length) }, async () => {
    for (let domain = waiting.shift(); domain !== undefined; domain = waiting.shift()) {
      checked.push(await checkDomain(host, caller, domain))
    }
  })
  await Promise.all(workers)
  return checked
}

async function checkDomain(host: Host, caller: Caller, { uuid, name }: DomainView): Promise<CheckedDomain> {
  try {
    using _job = await host.jobs.acquire(uuid, holderOf(caller))
    if (host.reads.byUuid(uuid)?.active !== true) return { uuid, name, error: null, disks: [], jobs: [] }
    const signal = AbortSignal.timeout(host.limits.hypervisorMs)
    const [chains, jobs] = await Promise.all([
      host.driver.queryChains(uuid, signal),
      host.driver.queryJobs(uuid, signal),
    ])
    const found = new Map(chains.map((chain) => [chain.target, chain.layers.map((layer) => layer.path)]))
    return { uuid, name, error: null, disks: disksOf(host, { uuid, found }), jobs: jobs.map((job) => job.jobId) }
  } catch (error) {
    return { uuid, name, error: error instanceof Error ? error.message : String(error), disks: [], jobs: [] }
  }
}

function disksOf(
  host: Host,
  { uuid, found }: { readonly uuid: string; readonly found: ReadonlyMap<string, readonly string[]> },
): readonly CheckedDisk[] {
  const { byDisk } = host.reads.chains(uuid)
  // From the record of a pivot to its outcome the hypervisor may have either chain.
  const changing = new Set(
    host.reads.jobs(uuid).flatMap((job) => (job.state === 'pivoting' || job.state === 'finalizing' ? [job.disk] : [])),
  )
  return [...new Set([...Object.keys(byDisk), ...found.keys()])].map((disk) => ({
    disk,
    recorded: (byDisk[disk] ?? []).map((layer) => layer.path),
    found: changing.has(disk) ? null : (found.get(disk) ?? []),
  }))
}
