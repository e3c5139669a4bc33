import { isFactType } from './catalogue.ts'
import type { FactType } from './catalogue.ts'

/** The fields of each event type that name a big text by its SHA-256. Other hashes are of files, or of what is not kept. */
const textFields: Partial<Readonly<Record<FactType, readonly string[]>>> = {
  EmulatorProbed: ['documentSha256', 'conversationSha256'],
  DomainDefined: ['submittedSha256', 'definitionSha256'],
  DomainDefinitionFollowed: ['definitionSha256'],
  DomainStartRequested: ['definitionSha256'],
  DomainStarted: ['commandLineSha256'],
  SnapshotCreated: ['definitionSha256'],
}

/** The big texts that the stored data of an event names; null for a type that is not of this catalogue. */
export function namedTexts(type: string, data: Uint8Array): readonly string[] | null {
  if (!isFactType(type)) return null
  const fields = textFields[type]
  if (fields === undefined) return []
  const stored: unknown = JSON.parse(Buffer.from(data).toString())
  if (typeof stored !== 'object' || stored === null) return []
  const values = new Map<string, unknown>(Object.entries(stored))
  return fields.flatMap((field) => {
    const value = values.get(field)
    return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value) ? [value] : []
  })
}
