import { hash } from 'node:crypto'
import * as v from 'valibot'

/** What the events of a run say: their key, a counter's number, the hash of a big text, and filling. */
export interface EventData {
  readonly key: string
  readonly value?: number
  readonly blob?: string
  readonly filling?: string
}

const eventData = v.object({ key: v.string(), value: v.optional(v.number()), blob: v.optional(v.string()) })

/** The text that is appended. */
export function dataText(data: EventData): string {
  return JSON.stringify(data)
}

/** Reads {@link dataText}; null where the event is not one of a client. */
export function parseEventData(text: string): v.InferOutput<typeof eventData> | null {
  const parsed = v.safeParse(eventData, JSON.parse(text))
  return parsed.success ? parsed.output : null
}

/** Short enough to be kept for every event of a run. */
export function digestOf(data: string | Uint8Array): string {
  return hash('sha256', data).slice(0, 16)
}
