import { type AnyFact, encodeData } from '../../src/events/catalogue.ts'
import { encodeMetadata, type Metadata } from '../../src/events/metadata.ts'
import type { RecordedEvent } from '../../src/eventstore/recorded-event.ts'

const metadata: Metadata = {
  hostId: '6b8b4567-0000-4000-8000-00000000face',
  occurredAtUs: 1_700_000_000_000_000n,
  actor: { uid: 1000, gid: 1000, pid: 4711, program: 'virsh', address: 'unix', authentication: 'peer' },
  procedure: 'TEST',
  commandId: '0197a7a0-0000-7000-8000-000000000001',
  correlationId: '0197a7a0-0000-7000-8000-000000000001',
  causationId: null,
  capsId: null,
  reason: null,
}

/** A fact as the log would hold it: the n-th event, one microsecond after the one before. */
export function recordedFact(
  fact: AnyFact,
  at: { readonly stream: string; readonly position: number; readonly meta?: Partial<Metadata> },
): RecordedEvent {
  return {
    position: BigInt(at.position),
    stream: at.stream,
    revision: BigInt(at.position),
    type: fact.type,
    schema: fact.schema,
    eventId: `0197a7a0-0000-7000-8000-${String(at.position).padStart(12, '0')}`,
    commitNo: BigInt(at.position),
    epoch: 1,
    recordedAtUs: 1_700_000_000_000_000n + BigInt(at.position),
    data: Buffer.from(encodeData(fact.data)),
    meta: Buffer.from(encodeMetadata({ ...metadata, ...at.meta })),
  }
}
