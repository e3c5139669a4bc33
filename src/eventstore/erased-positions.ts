import type pg from 'pg'
import * as v from 'valibot'
import { LogCorruptError } from './append-errors.ts'

const erasedSchema = v.looseObject({
  position: v.pipe(
    v.string(),
    v.regex(/^\d+$/),
    v.transform((text) => BigInt(text)),
  ),
})

/** The positions whose data was erased by events after a position. */
export async function erasedPositions(
  client: pg.ClientBase,
  { after }: { readonly after: bigint },
): Promise<readonly bigint[]> {
  const { rows } = await client.query<{ pos: bigint; data: Buffer | null }>(
    `select e.pos, e.data from event e where e.pos > $1::int8
      and e.type_id = any (array(select type_id from event_type where name = 'PayloadErased')) order by e.pos`,
    [after],
  )
  return rows.map(({ pos, data }) => {
    const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), erasedSchema), data?.toString('utf8') ?? '')
    if (parsed.success) return parsed.output.position
    throw new LogCorruptError(`Cannot read event ${pos}: it does not say what was erased`)
  })
}
