import { daemonContext } from '../commands/daemon-caller.ts'
import type { Host } from '../commands/host.ts'
import { startDomain } from '../commands/start-domain.ts'
import { decodeFact } from '../events/catalogue.ts'
import { nodeStream } from '../events/stream-names.ts'

/** Starts the domains that are marked for it, once per boot of the host: never at a mere restart of the daemon. The signal ends it between two domains. */
export async function autostart(
  host: Host,
  boot: { readonly bootId: string; readonly signal: AbortSignal },
): Promise<void> {
  if (!(await isFirstStartOfBoot(host, boot.bootId))) return
  const { caller } = daemonContext('AUTOSTART')
  for (const domain of host.reads.domains()) {
    if (boot.signal.aborted) return
    if (domain.definition?.autostart !== true || domain.active) continue
    try {
      await startDomain(host, caller, { uuid: domain.uuid, paused: false, cause: 'autostart' })
    } catch (error) {
      host.notes.error({ err: error, domain: domain.name }, 'A domain could not be started with the host')
    }
  }
}

/** Whether no daemon ran on this boot before this one: the last but one start recorded in the log was on another boot. */
async function isFirstStartOfBoot(host: Host, bootId: string): Promise<boolean> {
  let starts = 0
  for await (const event of host.log.readStream(nodeStream(host.hostId), { direction: 'backwards' })) {
    if (event.type !== 'DaemonStarted') continue
    starts += 1
    if (starts === 1) continue
    const fact = decodeFact(event.type, event)
    return fact.type === 'DaemonStarted' && fact.data.bootId !== bootId
  }
  return true
}
