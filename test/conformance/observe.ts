import type { Captured } from '../support/capture.ts'
import { normaliseField, normaliseText } from './normalise.ts'
import type { Shown } from './step.ts'
import { guestFields } from './guest-fields.ts'
import { type Fields, pickFields, xmlFields } from './xml-fields.ts'

/** What one step showed on one side. */
export interface Observation {
  readonly step: string
  readonly fields: Fields
  /** Why the step is wrong whatever the other side shows; null where it is right. */
  readonly wrong: string | null
}

/** The outcome of a client's command as fields: its exit status, its output as wanted, and its own part of the error text. */
export function commandFields(
  ended: Captured,
  { shown, directory }: { readonly shown: Shown; readonly directory: string },
): Fields {
  const status = { exit: String(ended.status ?? ended.signal) }
  // The first line is the client's, the ones after it are the daemon's own words.
  const [complaint = ''] = ended.err.split('\n')
  const ownWords =
    /^error: (Failed|failed|Domain is|Disk|invalid|An error|cannot)/.test(complaint) && !complaint.includes(': ', 8)
  const error =
    complaint === '' ? {} : { error: ownWords ? normaliseText(complaint, directory) : '(words of the daemon)' }
  return { ...status, ...(ended.status === 0 ? outputFields(ended.out, { shown, directory }) : {}), ...error }
}

function outputFields(
  out: string,
  { shown, directory }: { readonly shown: Shown; readonly directory: string },
): Fields {
  if (shown.as === 'text' || shown.as === 'lines') {
    const lines = normaliseText(out, directory).split('\n')
    const kept = shown.as === 'lines' ? lines.filter((line) => shown.like.test(line)) : lines
    return namedLines(kept)
  }
  if (shown.as === 'guests') return guestFields(out)
  const fields = xmlFields(out)
  const picked = shown.as === 'elements' ? pickFields(fields, shown.paths) : fields
  return Object.fromEntries(
    Object.entries(picked).map(([name, value]) => [name, normaliseField(name, value, directory)]),
  )
}

/** Lines as fields: `a: b` and `a=b` under the name a, others under their number. */
export function namedLines(lines: readonly string[]): Fields {
  const fields: Record<string, string> = {}
  for (const [at, line] of lines.entries()) {
    const [, name, value] = /^\s*([\w .()-]+?)(?:: |=)(.*)$/.exec(line) ?? []
    if (name !== undefined && value !== undefined && !(name in fields)) fields[name] = value.trim()
    else fields[`line ${at + 1}`] = line
  }
  return fields
}
