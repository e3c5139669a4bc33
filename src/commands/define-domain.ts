import { completeDomain } from '../conf/complete-domain.ts'
import type { DomainDef } from '../conf/domain-def.ts'
import { formatDomain } from '../conf/format-domain.ts'
import { keptPaths, parseDomain } from '../conf/parse-domain.ts'
import { refuseSecrets } from '../conf/refuse-secrets.ts'
import { validateDomain } from '../conf/validate-domain.ts'
import { newFact } from '../events/catalogue.ts'
import { claimStream, domainStream } from '../events/stream-names.ts'
import type { Turn } from '../eventstore/turn.ts'
import { decideRelease, decideTake } from '../model/claims.ts'
import { checkDefine, type Domain } from '../model/domain.ts'
import { randomBytes } from 'node:crypto'
import { Fault } from '../util/fault.ts'
import { sha256 } from '../util/sha256.ts'
import type { Caller } from './caller.ts'
import { CapsInvalidatedError, runCommand, type Task } from './run-command.ts'
import { defaultEmulator } from './default-emulator.ts'
import type { DomainName } from './commands.ts'
import type { Host } from './host.ts'
import { domainIn, holdersFold, type Proposal, record } from './record.ts'

/** A definition as judged: complete, valid for the emulator, printed. */
interface Judged {
  readonly definition: DomainDef
  readonly uuid: string
  readonly text: string
  readonly kept: readonly string[]
}

/** Accepts a definition, new or in place of the one of the same UUID. The submitted text and what was made of it are both kept. */
export async function defineDomain(host: Host, caller: Caller, request: { readonly xml: string }): Promise<DomainName> {
  const parsed = await refusable(host, caller, () => {
    const definition = parseDomain(request.xml)
    refuseSecrets(definition)
    return definition
  })
  const { name } = parsed
  const known = parsed.uuid ?? host.reads.byName(name)?.uuid ?? crypto.randomUUID()
  return await runCommand(host, { caller, uuid: known, subject: name }, async (task) => {
    const binary = parsed.devices.emulator ?? (await defaultEmulator(host, parsed.os.type.arch))
    const caps = await task.takeCaps(binary)
    const judged = judge(parsed, { uuid: known, caps: caps.facts })
    await recordDefinition(host, { task, judged, submitted: request.xml, binary, seen: caps.seen })
    await host.reach('define.appended')
    return { uuid: known, name, id: host.reads.byUuid(known)?.id ?? -1 }
  })
}

/** Runs a check that may refuse before any domain is known, so that the refusal is recorded too. */
async function refusable<Result>(host: Host, caller: Caller, check: () => Result): Promise<Result> {
  return await runCommand(host, { caller, uuid: null }, async () => check())
}

function judge(
  parsed: DomainDef,
  by: { readonly uuid: string; readonly caps: Parameters<typeof completeDomain>[1] },
): Judged {
  const fresh = { uuid: by.uuid, randomBytes: (count: number) => randomBytes(count) }
  const definition = completeDomain(parsed, by.caps, fresh)
  validateDomain(definition, by.caps)
  return { definition, uuid: by.uuid, text: formatDomain(definition, { secure: true }), kept: keptPaths(definition) }
}

async function recordDefinition(
  host: Host,
  what: {
    readonly task: Task
    readonly judged: Judged
    readonly submitted: string
    readonly binary: string
    readonly seen: Parameters<typeof newFact<'DomainDefined'>>[1]['emulator']
  },
): Promise<void> {
  const { task, judged, submitted, binary, seen } = what
  const capsId = task.context.capsId ?? ''
  const definitionSha256 = sha256(judged.text)
  const submittedSha256 = sha256(submitted)
  const { name } = judged.definition
  await record(host, task.context, {
    kind: 'intent',
    decide: (turn) => {
      if (!host.caps.isCurrent(turn, binary, capsId))
        throw new CapsInvalidatedError(`Capability version ${capsId} was invalidated`)
      const domain = domainIn(turn, judged.uuid)
      checkDefine(domain, { uuid: judged.uuid, name, nameHolder: nameHolder(turn, { name, uuid: judged.uuid }) })
      const defined = newFact('DomainDefined', {
        uuid: judged.uuid,
        name,
        submittedSha256,
        definitionSha256,
        capsId,
        emulator: seen,
        kept: [...judged.kept],
      })
      const texts = [
        { sha256: definitionSha256, bytes: Buffer.from(judged.text) },
        { sha256: submittedSha256, bytes: Buffer.from(submitted) },
      ]
      return [
        takeName(turn, { name, uuid: judged.uuid }),
        { stream: domainStream(judged.uuid), facts: [defined, ...forgottenChains(domain, judged.definition)], texts },
      ]
    },
  })
  host.texts.keep(definitionSha256, judged.text)
  host.texts.keepDefinition(definitionSha256, judged.definition)
}

function nameHolder(turn: Turn, wanted: { readonly name: string; readonly uuid: string }): string | null {
  const holders = Object.keys(turn.state(holdersFold, claimStream('name', wanted.name)))
  return holders.find((holder) => holder !== wanted.uuid) ?? null
}

function takeName(turn: Turn, wanted: { readonly name: string; readonly uuid: string }): Proposal {
  const stream = claimStream('name', wanted.name)
  const claim = { kind: 'name', subject: wanted.name, domain: wanted.uuid, mode: 'exclusive' } as const
  return { stream, facts: decideTake(claim, turn.state(holdersFold, stream)) }
}

/** The release of a domain's name, for whoever takes away the last thing that bears it. */
export function releaseName(turn: Turn, held: { readonly name: string; readonly uuid: string }): Proposal {
  const stream = claimStream('name', held.name)
  return {
    stream,
    facts: decideRelease({ kind: 'name', subject: held.name, domain: held.uuid }, turn.state(holdersFold, stream)),
  }
}

/** A disk that left the definition, or names another image, has no known chain any more. Chains of a running domain stay until it ends. */
function forgottenChains(domain: Domain, definition: DomainDef): Proposal['facts'] {
  if (domain.run.phase !== 'off') return []
  return Object.entries(domain.chains.byDisk).flatMap(([disk, layers]) => {
    const named = definition.devices.disks.find((candidate) => candidate.target.dev === disk)
    return named?.source?.file === layers[0]?.path ? [] : [newFact('BackingChainForgotten', { disk })]
  })
}

/** Refuses a UUID that nobody has, in the words that clients look for. */
export function requireKnown(host: Pick<Host, 'reads'>, uuid: string): void {
  if (host.reads.byUuid(uuid) === null) throw new Fault('no_domain', `no domain with matching uuid '${uuid}'`)
}
