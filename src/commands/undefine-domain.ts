import { domainStream } from '../events/stream-names.ts'
import { newFact } from '../events/catalogue.ts'
import { decideUndefine } from '../model/domain.ts'
import { Fault } from '../util/fault.ts'
import type { Caller } from './caller.ts'
import { releaseName, requireKnown } from './define-domain.ts'
import type { Host } from './host.ts'
import { domainIn, record } from './record.ts'
import { runCommand } from './run-command.ts'

/** Takes a definition away. A running domain goes on as a transient one and keeps its name until it ends. */
export async function undefineDomain(
  host: Host,
  caller: Caller,
  request: { readonly uuid: string; readonly dropSnapshots: boolean },
): Promise<void> {
  const { uuid } = request
  await runCommand(host, { caller, uuid }, async (task) => {
    requireKnown(host, uuid)
    await record(host, task.context, {
      kind: 'intent',
      decide: (turn) => {
        const domain = domainIn(turn, uuid)
        const facts = decideUndefine(domain, request)
        const name = domain.definition?.name
        const released = domain.run.phase === 'off' && name !== undefined ? [releaseName(turn, { name, uuid })] : []
        return [{ stream: domainStream(uuid), facts }, ...released]
      },
    })
  })
}

/** Sets whether the domain starts when the host has booted; nothing is recorded where it is so already. */
export async function setAutostart(
  host: Host,
  caller: Caller,
  request: { readonly uuid: string; readonly autostart: boolean },
): Promise<void> {
  const { uuid, autostart } = request
  await runCommand(host, { caller, uuid }, async (task) => {
    requireKnown(host, uuid)
    await record(host, task.context, {
      kind: 'intent',
      decide: (turn) => {
        const domain = domainIn(turn, uuid)
        if (domain.definition === null)
          throw new Fault('operation_invalid', 'cannot set autostart for transient domain')
        const facts = domain.autostart === autostart ? [] : [newFact('DomainAutostartChanged', { autostart })]
        return [{ stream: domainStream(uuid), facts }]
      },
    })
  })
}
