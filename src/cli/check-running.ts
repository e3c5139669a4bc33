import { type CheckResult, Findings } from './check-result.ts'

/** A running domain as the daemon and its hypervisor have it (control procedure DOMAINS_CHECK). */
export interface RunningDomain {
  readonly domain: { readonly uuid: string; readonly name: string }
  readonly error: string | null
  readonly disks: readonly {
    readonly disk: string
    readonly recorded: readonly string[]
    readonly found: readonly string[] | null
  }[]
  readonly jobs: readonly string[]
}

/** A block job without an end, and whether its domain runs, both by the log. */
export interface OpenJob {
  readonly jobId: string
  readonly domain: string
  readonly uuid: string
  readonly disk: string
  readonly state: string
  readonly running: boolean
}

const chainTitle = 'chains are those of the hypervisor'

/** I7: the recorded chain of every disk of a running domain is the hypervisor's. Null: the hypervisor could not be asked. */
export function checkChains(domains: readonly RunningDomain[] | null): CheckResult {
  if (domains === null) return skipped('I7', chainTitle)
  const findings = new Findings()
  let disks = 0
  for (const { domain, error, disks: ofDomain } of domains) {
    if (error !== null) findings.add(`domain "${domain.name}" could not be asked: ${error}`)
    for (const { disk, recorded, found } of ofDomain) {
      if (found === null) continue
      disks++
      if (recorded.join('\n') !== found.join('\n'))
        findings.add(difference(`${domain.name} ${disk}`, { recorded, found }))
    }
  }
  return findings.result({ id: 'I7', title: chainTitle, note: `${disks} disks of ${domains.length} running domains` })
}

/** I8: a job that was started and has no end lives in the hypervisor, and the hypervisor has no job that was never asked for. */
export function checkJobEnds(
  jobs: readonly OpenJob[],
  world: { readonly domains: readonly RunningDomain[] | null; readonly known: ReadonlySet<string> },
): CheckResult {
  const findings = new Findings()
  const title = 'every started job has an end or lives in the hypervisor'
  const { domains, known } = world
  for (const { jobId, domain, uuid, disk, state, running } of jobs) {
    const name = `job ${jobId} (${domain} ${disk}, ${state})`
    const asked = domains?.find((one) => one.domain.uuid === uuid)
    const silent = domains === null || (asked !== undefined && asked.error !== null)
    if (!running) findings.add(`${name} has no end, and its domain is shut off`)
    else if (!silent && asked?.jobs.includes(jobId) !== true) {
      findings.add(`${name} has no end, and the hypervisor does not have it`)
    }
  }
  for (const { domain, jobs: ofDomain } of domains ?? []) {
    for (const jobId of ofDomain) {
      if (!known.has(jobId))
        findings.add(`the hypervisor of "${domain.name}" has job ${jobId}, of which the log knows nothing`)
    }
  }
  const unasked = domains === null ? '; the hypervisors were not asked, no daemon runs here' : ''
  return findings.result({ id: 'I8', title, note: `${jobs.length} jobs without an end${unasked}` })
}

function skipped(id: string, title: string): CheckResult {
  return { id, title, state: 'skipped', findings: [], note: 'no daemon runs here that could ask the hypervisors' }
}

/** Both chains and the layer at which they part. */
function difference(
  disk: string,
  { recorded, found }: { readonly recorded: readonly string[]; readonly found: readonly string[] },
): string {
  const at = recorded.findIndex((path, index) => path !== found[index])
  const parting = at === -1 ? 'after its end' : `at ${recorded[at] ?? ''}`
  return `${disk} differs ${parting}: recorded ${recorded.join(' <- ') || 'nothing'}, the hypervisor has ${found.join(' <- ') || 'nothing'}`
}
