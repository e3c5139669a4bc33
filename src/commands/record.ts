import { type AnyFact, decodeFact, encodeData } from '../events/catalogue.ts'
import { encodeMetadata, type Metadata } from '../events/metadata.ts'
import {
  CommitInDoubtError,
  FencedError,
  InvalidAppendError,
  LogBusyError,
  LogClosedError,
  LogUnavailableError,
} from '../eventstore/append-errors.ts'
import type { AppendResult, AppendKind } from '../eventstore/event-store-options.ts'
import type { Blob, NewEvent, StreamWrite } from '../eventstore/recorded-event.ts'
import type { StreamFold } from '../eventstore/stream-fold.ts'
import type { Turn } from '../eventstore/turn.ts'
import { domainStream } from '../events/stream-names.ts'
import { evolveHolders, type Holders } from '../model/claims.ts'
import { evolveValidCaps, type ValidCaps } from '../model/emulator-caps.ts'
import { type Domain, evolveDomain, noDomain } from '../model/domain.ts'
import { Fault } from '../util/fault.ts'
import { uuidV7 } from '../util/uuid-v7.ts'
import type { Caller } from './caller.ts'
import type { Host } from './host.ts'

/** What a command's facts are recorded with: for whom, for which request, caused by what, judged by which capability version. */
export interface Context {
  readonly caller: Caller
  readonly commandId: string
  readonly correlationId: string
  readonly causationId: string | null
  readonly capsId: string | null
}

/** Facts for one stream, with the big texts that they name by hash. */
export interface Proposal {
  readonly stream: string
  readonly facts: readonly AnyFact[]
  readonly texts?: readonly Blob[]
}

/** How a domain comes from its stream. */
export const domainFold: StreamFold<Domain> = {
  name: 'domain',
  initial: noDomain,
  evolve: (domain, event) => evolveDomain(domain, decodeFact(event.type, event)),
}

/** How the holders of a thing come from its stream. */
export const holdersFold: StreamFold<Holders> = {
  name: 'holders',
  initial: {},
  evolve: (holders, event) => evolveHolders(holders, decodeFact(event.type, event)),
}

/** How the valid capability version of an emulator comes from its stream. */
export const validCapsFold: StreamFold<ValidCaps> = {
  name: 'valid-caps',
  initial: null,
  evolve: (valid, event) => evolveValidCaps(valid, decodeFact(event.type, event)),
}

/** The domain as the log has it inside a turn. */
export function domainIn(turn: Turn, uuid: string): Domain {
  return turn.state(domainFold, domainStream(uuid))
}

/** The domain as the log has it now, all earlier appends included; waits for its turn. */
export async function readDomain(host: Pick<Host, 'log'>, uuid: string): Promise<Domain> {
  return (await readDomainAt(host, uuid)).domain
}

/** A domain with the revision of its stream, null where nothing is recorded: what is decided by it holds while the revision stands. */
export async function readDomainAt(
  host: Pick<Host, 'log'>,
  uuid: string,
): Promise<{ readonly domain: Domain; readonly revision: bigint | null }> {
  let seen: { domain: Domain; revision: bigint | null } = { domain: noDomain, revision: null }
  try {
    await host.log.append((turn) => {
      seen = { domain: domainIn(turn, uuid), revision: turn.revision(domainStream(uuid)) }
      return []
    })
  } catch (error) {
    throw asFault(error)
  }
  return seen
}

/**
 * Decides in the writer's turn and appends what was decided, atomically over all streams. `intent` may be refused by
 * anybody who takes part in the commit; a `fact` has happened and is recorded all the same. Throws `log_unavailable`
 * when nothing could be recorded.
 */
export async function record(
  host: Pick<Host, 'log' | 'hostId' | 'clock' | 'shares'>,
  context: Context,
  entry: {
    readonly kind: AppendKind
    readonly decide: (turn: Turn) => readonly Proposal[]
    readonly signal?: AbortSignal
  },
): Promise<AppendResult> {
  const meta = encodeMetadata(metadataOf(host, context))
  // A decision may run twice; ids of its events must not change with it.
  const ids: string[] = []
  const idAt = (index: number): string => (ids[index] ??= uuidV7())
  const append = async (): Promise<AppendResult> =>
    await host.log.append(
      (turn) => {
        let next = 0
        return entry
          .decide(turn)
          .filter((proposal) => proposal.facts.length > 0)
          .map(
            (proposal): StreamWrite => ({
              stream: proposal.stream,
              expectedRevision: turn.revision(proposal.stream) ?? 'no_stream',
              events: proposal.facts.map((fact) => newEvent(fact, { eventId: idAt(next++), meta })),
              ...(proposal.texts === undefined ? {} : { blobs: proposal.texts }),
            }),
          )
      },
      { kind: entry.kind, ...(entry.signal === undefined ? {} : { signal: entry.signal }) },
    )
  try {
    // What has happened waits for nobody; what is only asked for waits for its user's turn.
    return await (entry.kind === 'fact' ? append() : host.shares.run(context.caller.actor, append))
  } catch (error) {
    // A name too long for a stream, a list too long for an event: the request itself is at fault.
    if (entry.kind === 'intent' && error instanceof InvalidAppendError) {
      throw new Fault('invalid_arg', `Cannot record the request: ${error.message}`, { cause: error })
    }
    throw asFault(error)
  }
}

/** A fact as the log takes it. */
export function newEvent(fact: AnyFact, beside: { readonly eventId: string; readonly meta: string }): NewEvent {
  return {
    eventId: beside.eventId,
    type: fact.type,
    schema: fact.schema,
    data: encodeData(fact.data),
    meta: beside.meta,
  }
}

/** What is recorded beside the facts of a context, stamped now. */
export function metadataOf(host: Pick<Host, 'hostId' | 'clock'>, context: Context): Metadata {
  return {
    hostId: host.hostId,
    occurredAtUs: host.clock.nowUs(),
    actor: context.caller.actor,
    procedure: context.caller.procedure,
    commandId: context.commandId,
    correlationId: context.correlationId,
    causationId: context.causationId,
    capsId: context.capsId,
    reason: context.caller.reason,
  }
}

/** Whether an error means that the log could not take anything, so that nothing was changed. */
export function isLogAway(error: unknown): boolean {
  return [LogUnavailableError, LogBusyError, LogClosedError, FencedError, CommitInDoubtError].some(
    (kind) => error instanceof kind,
  )
}

function asFault(error: unknown): unknown {
  if (!isLogAway(error) || !(error instanceof Error)) return error
  const inDoubt = error instanceof CommitInDoubtError
  const consequence = inDoubt ? 'the log will say whether it happened' : 'nothing was changed'
  return new Fault('log_unavailable', `${error.message}; ${consequence}`, { cause: error })
}
