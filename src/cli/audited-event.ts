import type { AuditedEvent } from './audit-capabilities.ts'
import { type ToldEvent, whoOf } from './told-event.ts'

/** The part of an event that audits and checks work with; null where this program does not know its type or schema. */
export function auditedEvent(event: ToldEvent): AuditedEvent | null {
  const { recorded, meta, fact } = event
  if (fact === null) return null
  return {
    position: recorded.position,
    timeUs: recorded.recordedAtUs,
    commandId: meta.commandId,
    capsId: meta.capsId,
    who: whoOf(event),
    procedure: meta.procedure,
    fact,
  }
}
