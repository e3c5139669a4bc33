import type { LogIndex } from './check-history.ts'
import type { Findings } from './findings.ts'
import type { ConsumerOutput, LoggedEvent } from './history.ts'

interface Check {
  readonly events: readonly LoggedEvent[]
  readonly index: LogIndex
  readonly findings: Findings
}

/** A consumer wrote down every event that it takes, once, in the order of the log, and nothing else. */
export function checkConsumers({ name, prefix, rows }: ConsumerOutput, { events, index, findings }: Check): void {
  const seen = new Set<string>()
  let last = -1n
  for (const { position, eventId } of rows) {
    const logged = index.byPosition.get(position)
    if (logged?.eventId !== eventId)
      findings.add(
        'ghost',
        `consumer "${name}" was given ${eventId} at position ${position}, there is ${logged?.eventId ?? 'nothing'}`,
      )
    else if (!logged.stream.startsWith(prefix))
      findings.add('ghost', `consumer "${name}" was given "${logged.stream}", it takes "${prefix}…"`)
    if (position <= last) {
      const what = seen.has(eventId) ? 'again' : 'late'
      findings.add('redelivered', `consumer "${name}" was given position ${position} ${what}, after ${last}`)
    }
    if (position > last) last = position
    seen.add(eventId)
  }
  for (const { eventId, key, position, stream } of events) {
    if (stream.startsWith(prefix) && !seen.has(eventId))
      findings.add('missing', `consumer "${name}" was never given position ${position} (${key ?? stream})`)
  }
}
