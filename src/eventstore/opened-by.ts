import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { WriterHolder } from './event-store-options.ts'
import type { LogRow } from './log-origin.ts'
import type { StreamWrite } from './recorded-event.ts'

/** This process as the holder of a log. */
export function thisProcess(): WriterHolder {
  return { pid: process.pid, startedAtUs: BigInt(Math.round(performance.timeOrigin * 1000)), host: hostname() }
}

/** The fence of a log whose owner has no events of its own for that: `LogOpened`, which says by whom. */
export function openedWrites(
  log: Pick<LogRow, 'logId'>,
  { pid, startedAtUs, host }: WriterHolder,
): readonly StreamWrite[] {
  const data = JSON.stringify({ pid, startedAtUs: String(startedAtUs), host })
  const opened = { eventId: randomUUID(), type: 'LogOpened', schema: 1, data, meta: '{}' }
  return [{ stream: `log-${log.logId}`, expectedRevision: 'any', events: [opened] }]
}
