import type pg from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import { type CopyRow, CopyRowSplitter } from './backup-row.ts'

/** The rows of a SELECT by COPY, some at a time: the server waits while they are worked on. */
export async function* copyOut(
  client: pg.Client,
  select: string,
  { fields, signal }: { readonly fields: number; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<readonly CopyRow[], void> {
  const splitter = new CopyRowSplitter({ fields })
  const stream: AsyncIterable<unknown> = client.query(copyTo(`copy (${select}) to stdout (format binary)`))
  for await (const chunk of stream) {
    signal?.throwIfAborted()
    if (!Buffer.isBuffer(chunk)) throw new Error('Cannot copy rows: the connection gave something else than bytes')
    const rows = [...splitter.push(chunk)]
    if (rows.length > 0) yield rows
  }
  splitter.end()
}
