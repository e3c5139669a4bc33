import { CliError } from './cli-error.ts'

/** A point of the log: a time in microseconds since 1970, or the position of an event. */
export type Moment =
  | { readonly kind: 'time'; readonly timeUs: bigint }
  | { readonly kind: 'position'; readonly position: bigint }

const unitSeconds: Readonly<Record<string, bigint>> = { s: 1n, m: 60n, h: 3600n, d: 86_400n, w: 604_800n }
const absolute = /^(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?\s*([Zz]|[+-]\d\d:\d\d)?$/

/**
 * Reads a moment as people give it: `now`, `@position`, `-2h` (s, m, h, d, w ago), or an RFC 3339 time, of which the seconds,
 * the time of day and the offset may be left out (then it is local time, as tables print it). Throws {@link CliError}.
 */
export function parseMoment(text: string, nowUs: bigint): Moment {
  if (text === 'now') return { kind: 'time', timeUs: nowUs }
  const position = /^@(\d{1,18})$/.exec(text)?.[1]
  if (position !== undefined) return { kind: 'position', position: BigInt(position) }
  const ago = /^-(\d{1,9})([smhdw])$/.exec(text)
  const unit = unitSeconds[ago?.[2] ?? '']
  if (ago !== null && unit !== undefined) {
    return { kind: 'time', timeUs: nowUs - BigInt(ago[1] ?? '0') * unit * 1_000_000n }
  }
  const timeUs = parseTime(text)
  if (timeUs !== null) return { kind: 'time', timeUs }
  throw new CliError(
    `Cannot read the time "${text}": it must be like 2026-03-03T10:00:00Z, "2026-03-03 10:00" (local time), -2h, @182733 or now`,
  )
}

function parseTime(text: string): bigint | null {
  const match = absolute.exec(text)
  if (match === null) return null
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', offset = ''] = match
  const zone = offset.toUpperCase()
  const date = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}${zone}`)
  // Date accepts 30 February and turns it into March.
  const sameDay = new Date(`${year}-${month}-${day}T00:00:00Z`).getUTCDate() === Number(day)
  if (Number.isNaN(date.getTime()) || !sameDay) return null
  return BigInt(date.getTime()) * 1000n + BigInt(fraction.padEnd(6, '0').slice(0, 6))
}
