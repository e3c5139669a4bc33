import type { EventStore } from '../../src/eventstore/event-store.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import type { NewEvent } from '../../src/eventstore/recorded-event.ts'
import type { ReadModels } from '../../src/readmodel/read-models.ts'
import type { View } from '../../src/readmodel/view.ts'
import { accountModels, accountsTable, notesTable } from './account-projection.ts'
import { newEvent, openLog } from './log-kit.ts'

/** Events of accounts. */
export const opened = (owner: string | null = 'ann', tags: object = {}): NewEvent =>
  newEvent('AccountOpened', { owner, tags })
export const moved = (by: bigint): NewEvent => newEvent('AccountMoved', { by })
export const closed = (): NewEvent => newEvent('AccountClosed')
export const note = (number: number, text: string): NewEvent => newEvent('NoteWritten', { number, text })

/** All rows of a view, in an order of their own. */
export function all(view: View): { readonly accounts: unknown[]; readonly notes: unknown[] } {
  const byText = (a: object, b: object) => (textOf(a) < textOf(b) ? -1 : 1)
  return {
    accounts: [...view.rows(accountsTable).all()].toSorted(byText),
    notes: [...view.rows(notesTable).all()].toSorted(byText),
  }
}

/** A value as JSON text, 64-bit numbers as strings. */
export function textOf(value: unknown): string {
  return JSON.stringify(value, (_key, each: unknown) => (typeof each === 'bigint' ? String(each) : each))
}

/** Opens a log with the read models of accounts. */
export function openWith(address: PostgresAddress, models: ReadModels = accountModels()): Promise<EventStore> {
  return openLog(address, { participants: [models] })
}
