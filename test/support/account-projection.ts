import type { RecordedEvent } from '../../src/eventstore/recorded-event.ts'
import { projection } from '../../src/readmodel/projection.ts'
import { ReadModels, type ReadModelsOptions } from '../../src/readmodel/read-models.ts'
import { type JsonValue, remove, table, upsert } from '../../src/readmodel/table.ts'

/** A small read model for tests of the engine: accounts and their notes. */
export interface AccountRow {
  readonly id: string
  readonly owner: string | null
  readonly balance: bigint
  readonly open: boolean
  readonly moves: number
  readonly seal: Uint8Array | null
  readonly tags: JsonValue
}

export interface NoteRow {
  readonly account: string
  readonly number: number
  readonly text: string
}

/** What happens to accounts. */
export type AccountEvent =
  | { readonly type: 'AccountOpened'; readonly data: { readonly owner: string | null; readonly tags?: JsonValue } }
  | { readonly type: 'AccountMoved'; readonly data: { readonly by: string } }
  | { readonly type: 'AccountClosed'; readonly data: object }
  | { readonly type: 'AccountReplaced'; readonly data: object }
  | { readonly type: 'NoteWritten'; readonly data: { readonly number: number; readonly text: string } }

export const accountsTable = table<AccountRow>()('accounts', ['id'], {
  by_owner: (row) => row.owner,
  by_open: (row) => (row.open ? 'open' : null),
})
export const notesTable = table<NoteRow>()('notes', ['account', 'number'])

export const accountsSql = `
  create table accounts (
    id text not null, owner text, balance bigint not null, open boolean not null, moves integer not null, seal bytea,
    tags jsonb not null, like temporal_row including comments, check (balance <> 666));
  create table notes (account text not null, number integer not null, text text not null, like temporal_row including comments);
  create view open_accounts as select id, owner from accounts where to_position is null and open;`

const seal = Uint8Array.of(0, 255, 39)

/** The projection; `version` and `bonus` make another one of it. */
export function accountsProjection({ version = 1, bonus = 0n } = {}) {
  return projection<AccountEvent>()({
    name: 'accounts',
    version,
    live: true,
    tables: { accounts: accountsTable, notes: notesTable },
    on: {
      AccountOpened: ({ data }, _rows, { stream }) => [
        upsert(accountsTable, {
          id: stream,
          owner: data.owner,
          balance: bonus,
          open: true,
          moves: 0,
          seal,
          tags: data.tags ?? null,
        }),
      ],
      AccountMoved: ({ data }, { accounts }, { stream }) => {
        const row = accounts.get({ id: stream })
        if (row === undefined) throw new Error(`Cannot move money of "${stream}": the account is not open`)
        return [upsert(accountsTable, { ...row, balance: row.balance + BigInt(data.by), moves: row.moves + 1 })]
      },
      AccountClosed: (_event, { notes }, { stream }) => [
        remove(accountsTable, { id: stream }),
        ...[...notes.all()].filter((row) => row.account === stream).map((row) => remove(notesTable, row)),
      ],
      AccountReplaced: (_event, { accounts }, { stream }) => {
        const row = accounts.get({ id: stream })
        return row === undefined ? [] : [remove(accountsTable, row), upsert(accountsTable, { ...row, moves: -1 })]
      },
      NoteWritten: ({ data }, _rows, { stream }) => [
        upsert(notesTable, { account: stream, number: data.number, text: data.text }),
      ],
    },
  })
}

/** Reads the events above. */
export function decodeAccountEvent(event: RecordedEvent): { readonly type: string; readonly data: unknown } {
  return { type: event.type, data: JSON.parse(Buffer.from(event.data).toString()) }
}

/** Read models over the accounts. */
export function accountModels(options: Partial<ReadModelsOptions> = {}): ReadModels {
  return new ReadModels({
    projections: [accountsProjection()],
    decode: decodeAccountEvent,
    sqlOf: () => Promise.resolve(accountsSql),
    ...options,
  })
}
