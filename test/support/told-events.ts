import { type AnyFact, type FactOf, type FactType, newFact } from '../../src/events/catalogue.ts'
import { encodeData } from '../../src/events/catalogue.ts'
import { encodeMetadata, type Metadata } from '../../src/events/metadata.ts'
import type { RecordedEvent } from '../../src/eventstore/recorded-event.ts'
import type { AuditedEvent } from '../../src/cli/audit-capabilities.ts'
import { auditedEvent } from '../../src/cli/audited-event.ts'
import { tellEvent, type ToldEvent } from '../../src/cli/told-event.ts'

/** Metadata of a request by virsh. */
export function metadataOf(values: Partial<Metadata> = {}): Metadata {
  const commandId = values.commandId ?? '0197c0de-0000-7000-8000-000000000001'
  return {
    hostId: '0b0e5c1e-0000-4000-8000-000000000001',
    occurredAtUs: 1_700_000_000_000_000n,
    actor: { uid: 0, gid: 0, pid: 4711, program: '/usr/bin/virsh', address: '/run/sock', authentication: 'peer' },
    procedure: 'DOMAIN_TEST',
    commandId,
    correlationId: commandId,
    causationId: null,
    capsId: null,
    reason: null,
    ...values,
  }
}

/** A log of facts in memory: positions, revisions and times follow from the order. */
export class ToldLog {
  readonly events: ToldEvent[] = []
  readonly #revisions = new Map<string, bigint>()

  /** Adds a fact and gives the event that it became. */
  add<Type extends FactType>(
    type: Type,
    data: FactOf<Type>['data'],
    beside: Partial<Metadata> & { readonly stream?: string; readonly eventId?: string } = {},
  ): ToldEvent {
    const { stream = 'domain-1', eventId, ...meta } = beside
    const event = tellEvent(this.#record(newFact(type, data), { stream, eventId, meta: metadataOf(meta) }))
    this.events.push(event)
    return event
  }

  /** The events as audits take them. */
  audited(): readonly AuditedEvent[] {
    return this.events.map((event) => auditedEvent(event)).filter((event) => event !== null)
  }

  #record(
    fact: AnyFact,
    {
      stream,
      eventId,
      meta,
    }: { readonly stream: string; readonly eventId: string | undefined; readonly meta: Metadata },
  ): RecordedEvent {
    const position = BigInt(this.events.length)
    const revision = (this.#revisions.get(stream) ?? -1n) + 1n
    this.#revisions.set(stream, revision)
    return {
      position,
      stream,
      revision,
      type: fact.type,
      schema: fact.schema,
      eventId: eventId ?? `0197c0de-0000-7000-9000-${position.toString().padStart(12, '0')}`,
      commitNo: position + 1n,
      epoch: 1,
      recordedAtUs: 1_700_000_000_000_000n + position * 1_000_000n,
      data: Buffer.from(encodeData(fact.data)),
      meta: Buffer.from(encodeMetadata(meta)),
    }
  }
}
