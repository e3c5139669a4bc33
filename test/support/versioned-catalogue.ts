import * as v from 'valibot'
import { about, fact, type FactsOf, int64, upcast } from '../../src/events/fact.ts'
import { readFact, type StoredFact } from '../../src/events/read-fact.ts'

/** Version 1: a size as text with its unit, the reason in one word. */
const taken1 = v.object({
  name: about(v.string(), 'what was taken'),
  size: about(v.string(), 'how big it is, such as 4 MiB'),
  why: about(v.string(), 'why'),
})

/** Version 2: sizes are numbers of bytes. */
const taken2 = v.object({
  name: about(v.string(), 'what was taken'),
  sizeBytes: about(int64, 'how big it is'),
  why: about(v.string(), 'why'),
})

/** Version 3: there may be several reasons, and who asked is known. */
const taken3 = v.object({
  name: about(v.string(), 'what was taken'),
  sizeBytes: about(int64, 'how big it is'),
  reasons: about(v.array(v.string()), 'why'),
  askedBy: about(v.nullable(v.string()), 'who asked; null where nobody wrote it down'),
})

const mebibytes = /^(\d+) MiB$/

/** A catalogue of a program that has changed a type twice and another one never: what adding a version takes. */
export const versionedCatalogue = {
  BackupTaken: fact(3, {
    meaning: 'A backup was taken.',
    data: taken3,
    older: [
      upcast(taken1, taken2, ({ size, ...same }) => ({
        ...same,
        sizeBytes: BigInt(mebibytes.exec(size)?.[1] ?? 0) << 20n,
      })),
      upcast(taken2, taken3, ({ why, ...same }) => ({ ...same, reasons: [why], askedBy: null })),
    ],
  }),
  BackupLost: fact(1, { meaning: 'A backup is gone.', data: v.object({ name: about(v.string(), 'which one') }) }),
}

/** Any fact of {@link versionedCatalogue}. */
export type VersionedFact = FactsOf<typeof versionedCatalogue>

/** Reads a stored fact by {@link versionedCatalogue}, typed as the product's own reader is. */
export function decodeVersioned(type: string, stored: StoredFact): VersionedFact
export function decodeVersioned(type: string, stored: StoredFact): object {
  return readFact(versionedCatalogue, type, stored)
}

/** Stored examples, one for each type and version, as the programs of their time wrote them. */
export const storedExamples: Readonly<Record<string, string>> = {
  'BackupTaken.1': '{"name":"nightly","size":"4 MiB","why":"schedule"}',
  'BackupTaken.2': '{"name":"nightly","sizeBytes":"4194304","why":"schedule"}',
  'BackupTaken.3': '{"name":"nightly","sizeBytes":"9007199254740993","reasons":["schedule","CHG-1"],"askedBy":null}',
  'BackupLost.1': '{"name":"nightly"}',
}
