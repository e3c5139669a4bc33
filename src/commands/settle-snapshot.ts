import { formatDomain } from '../conf/format-domain.ts'
import { type FactOf, newFact } from '../events/catalogue.ts'
import type { Domain } from '../model/domain.ts'
import { isFault } from '../util/fault.ts'
import { sha256 } from '../util/sha256.ts'
import { type FactsAndTexts, recordFollowed } from './follow-chain.ts'
import type { Host } from './host.ts'
import { releaseClaims } from './image-claims.ts'
import { liveDefinition } from './live-definition.ts'
import type { Context } from './record.ts'

type Requested = FactOf<'SnapshotRequested'>['data']

interface Cut {
  readonly uuid: string
  readonly domain: Domain
  readonly intent: Requested
}

/**
 * Ends a snapshot that was cut off: made when the overlays are on top, else undone. A hypervisor that lives says which.
 * Where it is dead, complete overlays are taken as made: the guest may have written to them, and an overlay that was
 * never on top is empty, so the chain says the same with it. Incomplete ones were never on top.
 */
export async function settleSnapshot(host: Host, context: Context, uuid: string): Promise<void> {
  let given: Requested['disks'] = []
  await recordFollowed(host, context, {
    uuid,
    facts: async (domain) => {
      const outcome = await snapshotOutcome(host, { uuid, domain, isDead: domain.run.phase === 'off' })
      given = outcome.facts.some((fact) => fact.type === 'CommandFailed') ? (domain.snapshotIntent?.disks ?? []) : []
      return outcome
    },
    still: (domain) => domain.snapshotIntent !== null,
    release: (turn) =>
      releaseClaims(
        turn,
        given.map(({ path }) => ({ kind: 'image', subject: path, domain: uuid })),
      ),
  })
}

/** What became of the open snapshot of a domain, and the overlays removed that nobody will use; nothing where none is open. */
export async function snapshotOutcome(
  host: Host,
  of: { readonly uuid: string; readonly domain: Domain; readonly isDead: boolean },
): Promise<FactsAndTexts> {
  const intent = of.domain.snapshotIntent
  if (intent === null) return { facts: [], texts: [] }
  const cut = { uuid: of.uuid, domain: of.domain, intent }
  const isMade = of.isDead ? await isComplete(host, cut) : await isOnTop(host, cut)
  return isMade ? await made(host, cut) : await undone(host, intent)
}

async function isOnTop(host: Host, { uuid, intent }: Cut): Promise<boolean> {
  const chains = await host.driver.queryChains(uuid, AbortSignal.timeout(host.limits.hypervisorMs))
  return intent.disks.every((disk) => chains.find((chain) => chain.target === disk.disk)?.layers[0]?.path === disk.path)
}

async function isComplete(host: Host, { domain, intent }: Cut): Promise<boolean> {
  for (const { disk, active, path } of intent.disks) {
    const below = domain.chains.byDisk[disk]?.[0]
    if (below?.index !== active || (await host.images.stat(path)) === null) return false
    const request = { given: [{ path, format: 'qcow2' as const }], terminated: true }
    try {
      const [overlay] = await host.images.readChain(request, AbortSignal.timeout(host.limits.hypervisorMs))
      if (overlay?.virtualSizeBytes !== below.virtualSizeBytes) return false
    } catch (error) {
      if (!isFault(error) || error.kind === 'operation_timeout') throw error
      return false
    }
  }
  return true
}

async function made(host: Host, { uuid, domain, intent }: Cut): Promise<FactsAndTexts> {
  const view = host.reads.byUuid(uuid)
  if (view === null) return { facts: [], texts: [] }
  const text = formatDomain(await liveDefinition(host, view))
  const disks = await Promise.all(
    intent.disks.map(async ({ disk, overlay: index, path }) => {
      const file = await host.images.stat(path)
      const virtualSizeBytes = domain.chains.byDisk[disk]?.[0]?.virtualSizeBytes ?? 0n
      const overlay = file === null ? null : { index, path, format: 'qcow2' as const, virtualSizeBytes, file }
      return { disk, snapshot: 'external', overlay }
    }),
  )
  const { name, description, metadata } = intent
  const fact = newFact('SnapshotCreated', {
    name,
    description,
    parent: domain.snapshots.current,
    state: domain.run.phase === 'off' ? 'shutoff' : 'disk-snapshot',
    createdAtUs: host.clock.nowUs(),
    disks,
    definitionSha256: sha256(text),
    metadata,
  })
  return { facts: [fact], texts: [{ sha256: sha256(text), bytes: Buffer.from(text) }] }
}

async function undone(host: Host, intent: Requested): Promise<FactsAndTexts> {
  if (!intent.reuseExternal) {
    for (const { path } of intent.disks) if ((await host.images.stat(path)) !== null) await host.images.remove(path)
  }
  const rest = intent.reuseExternal ? 'they were left alone' : 'they were removed'
  const error = `It was cut off before the overlays were on top; ${rest} and nothing was changed`
  return { facts: [newFact('CommandFailed', { intent: 'SnapshotRequested', error })], texts: [] }
}
