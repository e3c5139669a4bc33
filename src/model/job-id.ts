const prefix = 'job-'

/** Id of a block job: that of the command that asked for it, with a letter first, as hypervisors want ids to begin. */
export function jobIdOf(commandId: string): string {
  return `${prefix}${commandId}`
}

/** Id of the command that asked for a block job. */
export function commandOfJob(jobId: string): string {
  return jobId.startsWith(prefix) ? jobId.slice(prefix.length) : jobId
}
