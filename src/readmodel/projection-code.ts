import { hash } from 'node:crypto'
import type { Projection } from './projection.ts'

/** What tells one build of a projection from another: SHA-256 over its version, tables, SQL and handlers. */
export function projectionCode(projection: Projection, sql: string): string {
  const { name, version, live, tables, source } = projection
  const declared = Object.entries(tables).map(([alias, table]) => [alias, table.name, table.key, table.indexNames])
  return hash('sha256', JSON.stringify([name, version, live, declared, sql, source]))
}

/** The SQL names of a projection's tables, in order. */
export function tableNames({ tables }: Projection): readonly string[] {
  return Object.values(tables)
    .map(({ name }) => name)
    .toSorted()
}
