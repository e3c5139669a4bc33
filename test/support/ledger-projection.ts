import type { RecordedEvent } from '../../src/eventstore/recorded-event.ts'
import { projection } from '../../src/readmodel/projection.ts'
import { remove, table, upsert } from '../../src/readmodel/table.ts'
import type { AccountEvent } from './account-projection.ts'

/** A background read model of accounts for tests of the engine: what each owner has, and the accounts by owner. */
export interface LedgerRow {
  readonly account: string
  readonly owner: string
  readonly balance: bigint
}

export interface OwnerRow {
  readonly owner: string
  readonly accounts: number
}

export const ledgerTable = table<LedgerRow>()('ledger', ['account'], { by_owner: 'owner' })
export const ownersTable = table<OwnerRow>()('ledger_owners', ['owner'])

export const ledgerSql = `
  create table ledger (account text not null, owner text not null, balance bigint not null, like temporal_row including comments,
    check (balance <> 666));
  create table ledger_owners (owner text not null, accounts integer not null, like temporal_row including comments);
  create view rich_accounts with (security_barrier) as select account, balance from ledger where to_position is null and balance > 100;
  comment on view rich_accounts is 'Accounts with much in them';`

/** The projection; `version` and `bonus` make another one of it. AccountReplaced counts the accounts of the owner. */
export function ledgerProjection({ version = 1, bonus = 0n, live = false } = {}) {
  return projection<AccountEvent>()({
    name: 'ledger',
    version,
    live,
    tables: { ledger: ledgerTable, owners: ownersTable },
    on: {
      AccountOpened: ({ data }, _rows, { stream }) => [
        upsert(ledgerTable, { account: stream, owner: data.owner ?? 'nobody', balance: bonus }),
      ],
      AccountMoved: ({ data }, { ledger }, { stream }) => {
        const row = ledger.get({ account: stream })
        if (row === undefined) throw new Error(`Cannot move money of "${stream}": the account is not open`)
        return [upsert(ledgerTable, { ...row, balance: row.balance + BigInt(data.by) })]
      },
      AccountClosed: (_event, _rows, { stream }) => [remove(ledgerTable, { account: stream })],
      AccountReplaced: (_event, { ledger }, { stream }) => {
        const owner = ledger.get({ account: stream })?.owner
        return owner === undefined
          ? []
          : [upsert(ownersTable, { owner, accounts: ledger.by('by_owner', owner).length })]
      },
    },
  })
}

/** The SQL of the projections of tests, by their names. */
export function sqlFrom(texts: Readonly<Record<string, string>>) {
  return ({ name }: { readonly name: string }): Promise<string> => Promise.resolve(texts[name] ?? '')
}

/** A recorded event as tests without a log make it. */
export function recordedEvent(
  position: bigint,
  values: Partial<RecordedEvent> & { readonly json?: object },
): RecordedEvent {
  const { json = {}, ...rest } = values
  const data = Buffer.from(JSON.stringify(json))
  const place = { position, stream: 'a', revision: position, commitNo: position, epoch: 1, recordedAtUs: position }
  return {
    ...place,
    type: 'None',
    schema: 1,
    eventId: '00000000-0000-4000-8000-000000000000',
    data,
    meta: data,
    ...rest,
  }
}
