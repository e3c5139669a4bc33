import { formatDomain } from '../conf/format-domain.ts'
import { type AnyFact, type FactOf, newFact } from '../events/catalogue.ts'
import { domainStream } from '../events/stream-names.ts'
import type { Domain } from '../model/domain.ts'
import { sha256 } from '../util/sha256.ts'
import { followChain } from './follow-chain.ts'
import type { Host } from './host.ts'
import { liveDefinition } from './live-definition.ts'
import { type Context, domainIn, record } from './record.ts'

/**
 * Ends a snapshot that was cut off: made when the hypervisor has the overlays on top, else undone. The overlays are
 * removed only if this snapshot was to create them and no chain uses them.
 */
export async function settleSnapshot(
  host: Host,
  context: Context,
  what: { readonly uuid: string; readonly domain: Domain },
): Promise<void> {
  const { uuid, domain } = what
  const intent = domain.snapshotIntent
  if (intent === null) return
  const facts = (await isOnTop(host, { uuid, domain, intent }))
    ? await made(host, { uuid, domain, intent })
    : await undone(host, intent)
  const followed = await followChain(host, { uuid, domain, facts: facts.facts })
  await record(host, context, {
    kind: 'fact',
    decide: (turn) =>
      domainIn(turn, uuid).snapshotIntent === null
        ? []
        : [
            {
              stream: domainStream(uuid),
              facts: [...facts.facts, ...followed.facts],
              texts: [...facts.texts, ...followed.texts],
            },
          ],
  })
}

type Requested = FactOf<'SnapshotRequested'>['data']
interface Cut {
  readonly uuid: string
  readonly domain: Domain
  readonly intent: Requested
}

async function isOnTop(host: Host, { uuid, domain, intent }: Cut): Promise<boolean> {
  if (domain.run.phase !== 'running') return false
  const chains = await host.driver.queryChains(uuid, AbortSignal.timeout(host.limits.hypervisorMs))
  return intent.disks.every((disk) => chains.find((chain) => chain.target === disk.disk)?.layers[0]?.path === disk.path)
}

async function made(
  host: Host,
  { uuid, domain, intent }: Cut,
): Promise<{ facts: readonly AnyFact[]; texts: { sha256: string; bytes: Uint8Array }[] }> {
  const view = host.reads.byUuid(uuid)
  if (view === null) return { facts: [], texts: [] }
  const text = formatDomain(await liveDefinition(host, view))
  const disks = await Promise.all(
    intent.disks.map(async ({ disk, overlay, path }) => {
      const file = await host.images.stat(path)
      const below = domain.chains.byDisk[disk]?.[0]
      const layer =
        file === null || below === undefined
          ? null
          : { index: overlay, path, format: 'qcow2' as const, virtualSizeBytes: below.virtualSizeBytes, file }
      return { disk, snapshot: 'external', overlay: layer }
    }),
  )
  const { name, description, parent, metadata } = intent
  const createdAtUs = host.clock.nowUs()
  const fact = newFact('SnapshotCreated', {
    name,
    description,
    parent,
    state: 'disk-snapshot',
    createdAtUs,
    disks,
    definitionSha256: sha256(text),
    metadata,
  })
  return { facts: [fact], texts: [{ sha256: sha256(text), bytes: Buffer.from(text) }] }
}

async function undone(host: Host, intent: Requested): Promise<{ facts: readonly AnyFact[]; texts: [] }> {
  if (!intent.reuseExternal) {
    for (const { path } of intent.disks) if ((await host.images.stat(path)) !== null) await host.images.remove(path)
  }
  const error = 'The daemon ended before the overlays were on top; they were removed and nothing was changed'
  return { facts: [newFact('CommandFailed', { intent: 'SnapshotRequested', error })], texts: [] }
}
