import { checkConsumers } from './check-consumers.ts'
import { checkOperations } from './check-operations.ts'
import { checkRealTime } from './check-real-time.ts'
import { checkTable } from './check-table.ts'
import type { Findings } from './findings.ts'
import { type ChaosHistory, type Claims, type LoggedEvent, ownClaims } from './history.ts'

/** The log's events by what others name them. */
export interface LogIndex {
  readonly byId: ReadonlyMap<string, LoggedEvent>
  readonly byPosition: ReadonlyMap<bigint, LoggedEvent>
}

/** Judges a history: what clients were told, the table and what consumers wrote down must agree. */
export function checkHistory(history: ChaosHistory, findings: Findings, claims: Claims = ownClaims): void {
  const { events } = history.log
  const index = {
    byId: new Map(events.map((event) => [event.eventId, event])),
    byPosition: new Map(events.map((event) => [event.position, event])),
  }
  checkTable(history.log, findings, claims)
  checkOperations(history, { index, findings, claims })
  checkRealTime(history, { index, findings })
  for (const consumer of history.consumers) checkConsumers(consumer, { events, index, findings })
}
