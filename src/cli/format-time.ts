/** Local time to the millisecond, as tables print it: `2026-03-03 11:00:00.123`. */
export function localTime(timeUs: bigint): string {
  const date = new Date(Number(timeUs / 1000n))
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(twoDigits).join('-')
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(':')
  return `${day} ${time}.${String(date.getMilliseconds()).padStart(3, '0')}`
}

/** RFC 3339 in UTC to the microsecond, as documents for programs carry it: `2026-03-03T10:00:00.123456Z`. */
export function utcTime(timeUs: bigint): string {
  const seconds = new Date(Number(timeUs / 1000n)).toISOString().slice(0, 19)
  return `${seconds}.${String(timeUs % 1_000_000n).padStart(6, '0')}Z`
}

/** Microseconds of a `timestamptz` in the text form of a session in UTC: `2026-03-03 10:00:00.123456+00`. */
export function microsecondsOf(timestamp: string): bigint {
  const match = /^(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?\+00(?::?00)?$/.exec(timestamp)
  if (match === null) throw new Error(`Cannot read the time stamp "${timestamp}": it is not one of a session in UTC`)
  const milliseconds = Date.parse(`${match[1]}T${match[2]}Z`)
  return BigInt(milliseconds) * 1000n + BigInt((match[3] ?? '').padEnd(6, '0'))
}

const steps = [
  { unit: 'd', us: 86_400_000_000n, rest: 'h', restUs: 3_600_000_000n },
  { unit: 'h', us: 3_600_000_000n, rest: 'min', restUs: 60_000_000n },
  { unit: 'min', us: 60_000_000n, rest: 's', restUs: 1_000_000n },
] as const

/** A length of time with two units at most: `850 ms`, `12.3 s`, `2 h 5 min`. */
export function duration(lengthUs: bigint): string {
  for (const { unit, us, rest, restUs } of steps) {
    if (lengthUs >= us) return `${lengthUs / us} ${unit} ${(lengthUs % us) / restUs} ${rest}`
  }
  if (lengthUs >= 1_000_000n) return `${(Number(lengthUs) / 1_000_000).toFixed(1)} s`
  return `${lengthUs / 1000n} ms`
}

/** A size with its unit: `512 B`, `3.4 MiB`. */
export function byteSize(sizeBytes: bigint): string {
  let value = Number(sizeBytes)
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (value < 1024) return unit === 'B' ? `${value} B` : `${value.toFixed(1)} ${unit}`
    value /= 1024
  }
  return `${value.toFixed(1)} TiB`
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0')
}
