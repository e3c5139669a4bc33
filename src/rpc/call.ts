import type { Caller } from '../commands/caller.ts'
import type { Commands } from '../commands/commands.ts'
import type { DomainView, Reads, ReadTexts } from '../commands/reads.ts'
import { Fault } from '../util/fault.ts'
import type { DomainFacts, RpcHost } from './backend.ts'
import type { ClientConnection } from './client-connection.ts'

/** What a handler gets besides its arguments. */
export interface Call {
  readonly connection: ClientConnection
  readonly reads: Reads
  readonly texts: ReadTexts
  readonly commands: Commands
  readonly host: RpcHost
  readonly domains: DomainFacts
  /** Who asks, by which procedure and why: recorded with every change. */
  readonly caller: Caller
}

/** The domain of a reference; only its UUID counts. Throws the fault that clients know as "Domain not found". */
export function requireDomain(reads: Reads, wanted: { readonly uuid: string; readonly name: string }): DomainView {
  const found = reads.byUuid(wanted.uuid)
  if (found === null) throw new Fault('no_domain', `no domain with matching uuid '${wanted.uuid}' (${wanted.name})`)
  return found
}

/** Refuses flags that a procedure does not know: silently ignoring one would do something else than was asked. */
export function refuseUnknownFlags(flags: number, known: number, procedure: string): void {
  const unknown = (flags & ~known) >>> 0
  if (unknown !== 0)
    throw new Fault('invalid_arg', `unsupported flags (0x${unknown.toString(16)}) in function ${procedure}`)
}

/** A count on the wire that must not be negative. */
export function requireCount(count: number, what: string): number {
  if (count < 0) throw new Fault('invalid_arg', `${what} must not be negative, it is ${count}`)
  return count
}
