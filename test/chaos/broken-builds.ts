import type { FindingKind } from './findings.ts'

/** A build of ours with one rule of the event store broken, and what the checker must find of it. */
export interface BrokenBuild {
  readonly what: string
  /** Any of these shows that it was found. */
  readonly shows: readonly FindingKind[]
  /** Settings of its PostgreSQL server. */
  readonly serverSettings?: readonly string[]
}

/**
 * Builds that a harness worth its name must tell from ours. None of them edits the product: each wraps it at a seam, in own-store.ts,
 * consumer.ts or here.
 */
export const brokenBuilds = {
  'early-ack': {
    what: 'the writer acknowledges before COMMIT',
    shows: ['lost', 'reordered'],
  },
  'trusts-sequence': {
    what: 'a reader goes by positions given out before COMMIT, as from a sequence, and passes what is not visible yet',
    shows: ['missing'],
  },
  'blind-retry': {
    what: 'after a commit in doubt the writer appends again, under new ids and at any revision',
    shows: ['duplicated'],
  },
  'position-apart': {
    what: 'a consumer saves its position before its output and not in the same transaction',
    shows: ['missing'],
  },
  'async-commit': {
    what: 'the server answers COMMIT before it is on disk (synchronous_commit and fsync off)',
    shows: ['lost'],
    serverSettings: ['synchronous_commit=off', 'fsync=off', 'full_page_writes=off', 'wal_writer_delay=10s'],
  },
  'ignores-revision': {
    what: 'expected revisions are taken and not checked',
    shows: ['revision', 'update'],
  },
  'splits-appends': {
    what: 'an append to several streams is one commit each',
    shows: ['torn'],
  },
} as const satisfies Readonly<Record<string, BrokenBuild>>

/** One of {@link brokenBuilds}. */
export type BrokenName = keyof typeof brokenBuilds

/** The names of {@link brokenBuilds}. */
export const brokenNames: readonly BrokenName[] = Object.keys(brokenBuilds).filter(isBrokenName)

/** Whether there is such a broken build. */
export function isBrokenName(name: string): name is BrokenName {
  return Object.hasOwn(brokenBuilds, name)
}
