import { readSqlFiles } from '../eventstore/package-files.ts'
import type { Projection } from './projection.ts'

/** The SQL that makes the tables of each projection: from `projections/<name>.sql` (with dashes), or from `sqlOf`. */
export async function readProjectionSql(
  projections: readonly Projection[],
  sqlOf?: (projection: Projection) => Promise<string>,
): Promise<ReadonlyMap<Projection, string>> {
  if (sqlOf !== undefined) {
    return new Map(await Promise.all(projections.map(async (each) => [each, await sqlOf(each)] as const)))
  }
  const files = await readSqlFiles('projections')
  const found = projections.map((projection) => {
    const wanted = `${projection.name.replaceAll('_', '-')}.sql`
    const file = files.find(({ name }) => name === wanted)
    if (file === undefined)
      throw new Error(`Cannot open projection "${projection.name}": projections/${wanted} does not exist`)
    return [projection, file.text] as const
  })
  return new Map(found)
}
