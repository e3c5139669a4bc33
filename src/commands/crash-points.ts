/** Named places between an intent and its outcome at which a fault run may stop the daemon. The table is the list of what such runs can reach. */
export const crashPoints = [
  'define.appended',
  'start.requested',
  'start.spawned',
  'start.started',
  'destroy.requested',
  'destroy.acted',
  'suspend.requested',
  'suspend.acted',
  'resume.requested',
  'resume.acted',
  'snapshot.requested',
  'snapshot.files',
  'snapshot.acted',
  'job.requested',
  'job.running',
  'job.ready',
  'job.pivotRequested',
  'job.pending',
  'job.recorded',
  'job.finalized',
  'job.concluded',
  'job.outcome',
] as const

/** One of {@link crashPoints}. */
export type CrashPoint = (typeof crashPoints)[number]

/** Told whenever a command passes a crash point. The running daemon's does nothing; only the composition root can be given another. */
export type Reach = (point: CrashPoint) => Promise<void>

/** Nothing happens at any crash point. */
export const reachNothing: Reach = async () => {}
