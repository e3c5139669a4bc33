import { hash } from 'node:crypto'
import type { ClientBase } from 'pg'
import { SchemaTooNewError } from './append-errors.ts'
import { readSqlFiles, type SqlFile } from './package-files.ts'

interface AppliedRow {
  readonly number: number
  readonly name: string
  readonly sha256: string
}

/**
 * Brings the database to the schema of this program: each `NNNN-….sql` not yet applied runs in a transaction of its own. Forward only: a
 * file once applied never changes. Throws {@link SchemaTooNewError} where a newer program was here. The caller holds the writer's lock,
 * and with `within` has a transaction open in which everything happens.
 */
export async function migrate(
  client: ClientBase,
  files?: readonly SqlFile[],
  { within }: { readonly within?: 'transaction' } = {},
): Promise<void> {
  const known = files ?? (await readSqlFiles('migrations'))
  await client.query(`create table if not exists schema_migration (
    number int primary key, name text not null, sha256 text not null, applied_at timestamptz not null default now())`)
  const { rows } = await client.query<AppliedRow>('select number, name, sha256 from schema_migration order by number')
  const newest = known.length
  const beyond = rows.find((row) => row.number > newest)
  if (beyond !== undefined) {
    throw new SchemaTooNewError(
      `Cannot open the log: its schema has migration ${beyond.number} ("${beyond.name}"), this program knows up to ${newest}`,
    )
  }
  for (const [index, file] of known.entries()) {
    await applyOnce(client, { file, number: index + 1, rows, own: within === undefined })
  }
}

async function applyOnce(
  client: ClientBase,
  { file, number, rows, own }: { file: SqlFile; number: number; rows: readonly AppliedRow[]; own: boolean },
): Promise<void> {
  if (Number(file.name.slice(0, 4)) !== number)
    throw new Error(`Cannot migrate: "${file.name}" should have number ${number}`)
  const sha256 = hash('sha256', file.text)
  const applied = rows.find((row) => row.number === number)
  if (applied !== undefined) {
    if (applied.sha256 === sha256) return
    throw new Error(
      `Cannot open the log: migration ${number} was applied as "${applied.name}" with another text than "${file.name}" has`,
    )
  }
  if (own) await client.query('begin')
  try {
    await client.query(file.text)
    await client.query('insert into schema_migration (number, name, sha256) values ($1::int4, $2::text, $3::text)', [
      number,
      file.name,
      sha256,
    ])
    if (own) await client.query('commit')
  } catch (error) {
    if (own) await client.query('rollback').catch(() => undefined)
    throw new Error(`Cannot apply migration "${file.name}"`, { cause: error })
  }
}
