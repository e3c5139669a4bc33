import pg from 'pg'
import { expect } from 'vitest'
import type { BackupReport } from '../../src/eventstore/backup-log.ts'
import { backupKinds } from '../../src/eventstore/backup-kinds.ts'
import { readBackupFile } from '../../src/eventstore/backup-reader.ts'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import { clientConfig } from '../../src/eventstore/postgres-client.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { sha256 } from '../../src/util/sha256.ts'
import { newEvent, write } from './log-kit.ts'

/** Appends events in commits of three, over some streams, each commit with a big text. */
export async function fill(log: EventStore, commits: number): Promise<void> {
  const appends = Array.from({ length: commits }, (_, at) => {
    const text = `<domain at='${log.head.position}-${at}'/>`
    const blobs = [{ sha256: sha256(text), bytes: Buffer.from(text) }]
    const events = Array.from({ length: 3 }, (_each, n) => newEvent(`Put${n}`, { at, text: sha256(text) }))
    return log.append([write(`s-${at % 40}`, events, { blobs })])
  })
  await Promise.all(appends)
}

/** Everything that the tables of a log hold, as one text a table. */
async function contents(address: PostgresAddress, tables: readonly string[]): Promise<Record<string, string>> {
  const client = new pg.Client(clientConfig(address, 'test'))
  await client.connect()
  try {
    const found: Record<string, string> = {}
    for (const table of tables) {
      const { rows } = await client.query<{ text: string | null }>(
        `select count(*) || ' ' || md5(string_agg(t::text, e'\\n' order by t::text)) as text from ${table} t`,
      )
      found[table] = rows[0]?.text ?? 'empty'
    }
    return found
  } finally {
    await client.end()
  }
}

/** All that a restore brings back, also what it computes. */
const logTables = [...backupKinds.map(({ table }) => table), 'log', 'type_block', 'category_block', 'tile']

/** Compares every row of the tables that a restore brings back or computes. */
export async function expectSame(one: PostgresAddress, other: PostgresAddress): Promise<void> {
  expect(await contents(other, logTables)).toEqual(await contents(one, logTables))
}

/** The names of files of a backup. */
export function names(files: BackupReport['written']): string[] {
  return files.map(({ name }) => name)
}

/** Kinds of the files whose rows hold a text. */
export async function holds(dir: string, { manifest }: BackupReport, text: string): Promise<string[]> {
  const found: string[] = []
  for (const file of manifest.files) {
    for await (const { bytes } of readBackupFile(dir, file, { logId: manifest.log.logId })) {
      if (bytes.includes(text)) found.push(file.kind)
    }
  }
  return found.toSorted()
}
