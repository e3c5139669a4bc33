import { newFact } from '../events/catalogue.ts'
import { domainStream } from '../events/stream-names.ts'
import { requireOff } from '../model/domain.ts'
import { Fault } from '../util/fault.ts'
import type { Caller } from './caller.ts'
import { requireKnown } from './define-domain.ts'
import type { Host } from './host.ts'
import { chainRequestOf, numbered } from './known-chains.ts'
import { nextDefinition } from './live-definition.ts'
import { domainIn, readDomain, record } from './record.ts'
import { runCommand } from './run-command.ts'

/** Declares the chain that the headers tell now to be the right one: an operator's answer to drift. Returns the paths, active image first. */
export async function adoptChain(
  host: Host,
  caller: Caller,
  request: { readonly uuid: string; readonly disk: string },
): Promise<readonly string[]> {
  const { uuid, disk } = request
  return await runCommand(host, { caller, uuid, subject: `${uuid} ${disk}` }, async (task) => {
    requireKnown(host, uuid)
    const view = host.reads.byUuid(uuid)
    if (view === null || view.active)
      throw new Fault('operation_invalid', 'Cannot adopt a chain: the domain is running, it must be shut off')
    const found = (await nextDefinition(host, view)).devices.disks.find(
      (one) => one.target.dev === disk && one.source?.file !== undefined,
    )
    if (found === undefined) throw new Fault('invalid_arg', `disk '${disk}' not found in domain`)
    const { chains } = await readDomain(host, uuid)
    const layers = await host.images.readChain(chainRequestOf(found), AbortSignal.timeout(host.limits.hypervisorMs))
    await record(host, task.context, {
      kind: 'intent',
      decide: (turn) => {
        requireOff(domainIn(turn, uuid))
        return [
          {
            stream: domainStream(uuid),
            facts: [newFact('BackingChainAdopted', { disk, layers: numbered(layers, chains.nextIndex) })],
          },
        ]
      },
    })
    return layers.map((layer) => layer.path)
  })
}
