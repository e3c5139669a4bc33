import { openEventStore } from '../../src/eventstore/open-event-store.ts'
import { restoreLog } from '../../src/eventstore/restore-log.ts'
import { newEvent, testHostId, write } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'
import type { ChaosCluster } from './chaos-cluster.ts'
import type { Findings } from './findings.ts'
import type { LoggedLog } from './history.ts'
import { readTarget } from './read-target.ts'

/** Backs the log up, restores it into a new cluster and compares: the same events, commits and root, and it can be written on. */
export async function restoreDrill(
  cluster: ChaosCluster,
  { log, findings }: { readonly log: LoggedLog; readonly findings: Findings },
): Promise<string> {
  try {
    const { written, kept } = await cluster.backUp()
    await using restored = await ScratchPostgres.start({ parent: cluster.directory })
    const address = await restored.createDatabase()
    await restoreLog({ address, dir: cluster.backupDirectory })
    const copy = await readTarget('ours', address)
    compare({ log, copy }, findings)
    const root = copy.commits?.at(-1)?.root ?? 'none'
    const store = await openEventStore({
      address,
      hostId: testHostId,
      holder: { pid: process.pid, startedAtUs: 0n, host: 'restored' },
      fence: () => [write('chaos-writer', [newEvent('DaemonStarted')])],
    })
    await store.close()
    const grown = await readTarget('ours', address)
    const [head, computed] = [grown.commits?.at(-1)?.root, grown.commits?.at(-1)?.computedRoot]
    if (grown.events.length !== log.events.length + 1 || head !== computed)
      findings.add('restore', `a writer made ${grown.events.length} events of ${log.events.length}, root ${head}`)
    return `${copy.events.length} events into a new cluster, ${written.length + kept.length} files, root ${root}`
  } catch (error) {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    findings.add('restore', text)
    return text
  }
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
