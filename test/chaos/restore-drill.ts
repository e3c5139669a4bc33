import { openEventStore } from '../../src/eventstore/open-event-store.ts'
import { newEvent, testHostId, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'
import type { ChaosCluster } from './chaos-cluster.ts'
import type { Findings } from './findings.ts'
import type { LoggedLog } from './history.ts'
import { readOwnLog } from './read-log.ts'

/** Backs the log up, restores it into a new cluster and compares: the same events, commits and root, and it can be written on. */
export async function restoreDrill(
  cluster: ChaosCluster,
  { log, findings }: { readonly log: LoggedLog; readonly findings: Findings },
): Promise<string> {
  await cluster.server.stop()
  await using restored = await ScratchPostgres.start({ dataFrom: cluster.server.dataDir, parent: cluster.directory })
  const address = restored.address('log')
  const copy = await readOwnLog(address)
  compare({ log, copy }, findings)
  const store = await openEventStore({
    address,
    hostId: testHostId,
    holder: { pid: process.pid, startedAtUs: 0n, host: 'restored' },
    fence: () => [write('chaos-writer', [newEvent('DaemonStarted')])],
  })
  await store.close()
  return `${copy.events.length} events, root ${copy.commits?.at(-1)?.root ?? 'none'}`
}

function compare({ log, copy }: { readonly log: LoggedLog; readonly copy: LoggedLog }, findings: Findings): void {
  const { before, after } = { before: log.commits?.at(-1), after: copy.commits?.at(-1) }
  if (before?.root !== after?.root || after?.root !== after?.computedRoot)
    findings.add('restore', `the root is ${after?.root} (computed ${after?.computedRoot}), it was ${before?.root}`)
  if (log.events.length !== copy.events.length || log.commits?.length !== copy.commits?.length)
    findings.add('restore', `${copy.events.length} of ${log.events.length} events are there`)
  for (const [at, event] of log.events.entries()) {
    const there = copy.events[at]
    if (there?.eventId !== event.eventId || there.digest !== event.digest)
      findings.add(
        'restore',
        `position ${event.position} holds ${there?.eventId ?? 'nothing'}, it was ${event.eventId}`,
      )
  }
  for (const blob of log.blobs) if (!copy.blobs.has(blob)) findings.add('restore', `the big text ${blob} is missing`)
}
