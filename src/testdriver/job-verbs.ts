import type { HypervisorJobStatus } from '../driver/driver.ts'

/** In which states of a job each request is allowed; QEMU's own table of job verbs. */
export const jobVerbs = {
  complete: ['ready'],
  finalize: ['pending'],
  cancel: ['created', 'running', 'paused', 'ready', 'standby', 'waiting', 'pending'],
  dismiss: ['concluded'],
  setSpeed: ['created', 'running', 'paused', 'ready', 'standby'],
} as const satisfies Record<string, readonly HypervisorJobStatus[]>

/** A request to a block job. */
export type JobVerb = keyof typeof jobVerbs

/** Whether a job in this state may be asked for this. */
export function isVerbAllowed(verb: JobVerb, status: HypervisorJobStatus): boolean {
  const allowed: readonly HypervisorJobStatus[] = jobVerbs[verb]
  return allowed.includes(status)
}
