import pg from 'pg'

/**
 * What a failed commit means. `lost`: the connection is gone, the outcome unknown. `refused`: rolled back for want of space, memory or
 * time, a later try may succeed. `conflict`: the log's constraints say that another has written. `poison`: rolled back because of what
 * was to be written.
 */
export type PostgresFailure = 'lost' | 'refused' | 'conflict' | 'poison'

const logTables =
  /^(log|writer|commit|category|stream|event_type|event(_\d+)?|tree_edge|tile|blob|request|type_block|category_block)$/

// SQLSTATE classes and codes (PostgreSQL documentation, appendix A)
const rules: readonly { readonly code: RegExp; readonly failure: PostgresFailure }[] = [
  { code: /^08/, failure: 'lost' }, // connection exception
  { code: /^57P0/, failure: 'lost' }, // shutdown, crash, cannot connect now, database dropped, idle time-out
  { code: /^25P0/, failure: 'lost' }, // idle in transaction time-out
  { code: /^53/, failure: 'refused' }, // disk full, out of memory, too many connections
  { code: /^57014$/, failure: 'refused' }, // cancelled: statement time-out or an administrator
  { code: /^58/, failure: 'refused' }, // input/output error of the server
  { code: /^40/, failure: 'refused' }, // deadlock, serialisation
  { code: /^55P03$/, failure: 'refused' }, // lock not available
  { code: /^25006$/, failure: 'refused' }, // read-only: a standby answers
  { code: /^XX/, failure: 'refused' }, // internal error, corruption
]

/** A part of a transaction could not be made (`cause`): the server has rolled back what was sent of it. */
export class UnsentError extends Error {}

/** Judges what a query threw. */
export function postgresFailure(error: unknown): PostgresFailure {
  if (error instanceof UnsentError) return 'refused'
  if (!(error instanceof pg.DatabaseError)) return 'lost'
  const code = error.code ?? ''
  if (error.severity === 'FATAL' || error.severity === 'PANIC') return 'lost'
  if (/^(23505|23503|23514)$/.test(code) && touchesLog(error)) return 'conflict'
  return rules.find((rule) => rule.code.test(code))?.failure ?? 'poison'
}

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error && error.message !== '' ? error.message : String(error)
}

function touchesLog(error: pg.DatabaseError): boolean {
  return error.constraint === 'log_assert' || (error.table !== undefined && logTables.test(error.table))
}
