import type { DomainDef } from '../conf/domain-def.ts'
import type { DiskChain } from '../driver/driver.ts'
import { claimStream } from '../events/stream-names.ts'
import type { Turn } from '../eventstore/turn.ts'
import type { Chains } from '../model/chain.ts'
import { type Claim, decideRelease, decideTake } from '../model/claims.ts'
import { sha256 } from '../util/sha256.ts'
import { disksWithImage } from './known-chains.ts'
import { holdersFold, type Proposal } from './record.ts'

/** The chains of a definition's disks as a start needs them. */
export function diskChains(definition: DomainDef, chains: Chains): readonly DiskChain[] {
  return disksWithImage(definition).map((disk) => ({
    target: disk.target.dev,
    readOnly: disk.readonly || disk.device === 'cdrom',
    layers: (chains.byDisk[disk.target.dev] ?? []).map(({ index, path, format }) => ({ index, path, format })),
  }))
}

/** The files of chains and how they will be used: the active image is written unless the disk is read-only, all others are read. */
export function imageUses(disks: readonly DiskChain[]): readonly { readonly path: string; readonly write: boolean }[] {
  return disks.flatMap((disk) =>
    disk.layers.map((layer, at) => ({ path: layer.path, write: at === 0 && !disk.readOnly })),
  )
}

/** What a run claims: written images alone, images that are only read with others. `shareable` disks are shared by their users' will. */
export function imageClaims(
  uuid: string,
  what: { readonly definition: DomainDef; readonly disks: readonly DiskChain[] },
): readonly Claim[] {
  const shareable = new Set(
    what.definition.devices.disks.filter((disk) => disk.shareable).map((disk) => disk.target.dev),
  )
  const strongest = new Map<string, Claim>()
  for (const disk of what.disks) {
    for (const [at, layer] of disk.layers.entries()) {
      const exclusive = at === 0 && !disk.readOnly && !shareable.has(disk.target)
      if (strongest.get(layer.path)?.mode === 'exclusive') continue
      strongest.set(layer.path, {
        kind: 'image',
        subject: layer.path,
        domain: uuid,
        mode: exclusive ? 'exclusive' : 'shared',
      })
    }
  }
  return [...strongest.values()]
}

/** Stream of a claim: paths hold what stream names may not, so images are named by hash. */
export function streamOfClaim(claim: Pick<Claim, 'kind' | 'subject'>): string {
  return claimStream(claim.kind, claim.kind === 'image' ? sha256(claim.subject) : claim.subject)
}

/** Takes claims inside a turn; throws `resource_busy` naming the first one that another domain has. */
export function takeClaims(turn: Turn, claims: readonly Claim[]): readonly Proposal[] {
  return claims.map((claim) => {
    const stream = streamOfClaim(claim)
    return { stream, facts: decideTake(claim, turn.state(holdersFold, stream)) }
  })
}

/** Gives claims back inside a turn. */
export function releaseClaims(turn: Turn, claims: readonly Omit<Claim, 'mode'>[]): readonly Proposal[] {
  return claims.map((claim) => {
    const stream = streamOfClaim(claim)
    return { stream, facts: decideRelease(claim, turn.state(holdersFold, stream)) }
  })
}
