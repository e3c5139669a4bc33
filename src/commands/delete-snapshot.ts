import { domainStream } from '../events/stream-names.ts'
import { decideSnapshotDelete } from '../model/snapshots.ts'
import { Fault } from '../util/fault.ts'
import type { Caller } from './caller.ts'
import type { Commands } from './commands.ts'
import { requireKnown } from './define-domain.ts'
import type { Host } from './host.ts'
import { domainIn, record } from './record.ts'
import { runCommand } from './run-command.ts'

/** Forgets snapshots; their files are left as they are. Touches neither the hypervisor nor the definition, so it waits for nobody. */
export async function deleteSnapshot(
  host: Host,
  caller: Caller,
  request: Parameters<Commands['deleteSnapshot']>[1],
): Promise<void> {
  const { uuid, name } = request
  await runCommand(host, { caller, uuid: null, subject: `${uuid} ${name}` }, async (task) => {
    requireKnown(host, uuid)
    if (!request.metadataOnly) {
      throw new Fault(
        'config_unsupported',
        `Cannot delete snapshot "${name}" with its files: only its record can be deleted yet (--metadata); block-commit merges an overlay`,
      )
    }
    await record(host, task.context, {
      kind: 'intent',
      decide: (turn) => [
        { stream: domainStream(uuid), facts: decideSnapshotDelete(domainIn(turn, uuid).snapshots, request) },
      ],
    })
  })
}
