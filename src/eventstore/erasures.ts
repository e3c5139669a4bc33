import type pg from 'pg'
import * as v from 'valibot'
import { int64, sha256Text } from '../events/fact.ts'
import { categoryOf } from '../events/stream-names.ts'
import { InvalidAppendError } from './append-errors.ts'
import { byteaArray, int8Value } from './binary-values.ts'
import type { CommitParticipant, CommitStatement, ParticipantContext, StagedRequest } from './commit-participant.ts'
import { erasureType } from './erasure-check.ts'
import type { RecordedEvent } from './recorded-event.ts'
import { sha256 } from './sha256.ts'

const erasureSchema = v.looseObject({
  position: int64,
  dataSha256: sha256Text,
  texts: v.array(sha256Text),
  searchedTo: int64,
})

type Erasure = v.InferOutput<typeof erasureSchema>

/** What an erasure would take away, as the `PayloadErased` event says it. */
export interface ErasurePlan {
  readonly position: bigint
  readonly stream: string
  readonly type: string
  readonly dataSha256: string
  readonly texts: readonly string[]
  readonly searchedTo: bigint
}

/** An event whose data is gone, and the big texts that went with it. */
export interface ErasedPayload {
  readonly position: bigint
  readonly sha256: Buffer
  readonly texts: readonly string[]
}

/** Category of the streams on which a `PayloadErased` event erases; elsewhere it is an event like any other. */
const category = 'node'
const hashPattern = /(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/g

/**
 * Takes the data away that a `PayloadErased` event names, in the transaction that records it. `onErased` hears of the positions once it is
 * committed, so that what is kept in memory goes, too.
 */
export class Erasures implements CommitParticipant {
  readonly name = 'erasures'
  readonly #onErased: (erased: readonly ErasedPayload[]) => void
  #staged: Erasure[] = []
  #pool: pg.Pool | null = null

  constructor(onErased: (erased: readonly ErasedPayload[]) => void) {
    this.#onErased = onErased
  }

  fence(): readonly CommitStatement[] {
    return []
  }

  async open({ pool }: ParticipantContext): Promise<void> {
    this.#pool = pool
  }

  stage({ events }: StagedRequest): () => void {
    const before = this.#staged
    const own = events.filter(({ type, stream }) => type === erasureType && categoryOf(stream) === category)
    if (own.length > 0) this.#staged = [...before, ...own.map(erasureOf)]
    return () => {
      this.#staged = before
    }
  }

  statements(): readonly CommitStatement[] {
    return this.#staged.map(({ position, dataSha256, texts, searchedTo }, at) => ({
      name: `log_erasure_${at}`,
      sql: `select log_erase_payload($1::int8, $2::bytea, ${texts.length === 0 ? `'{}'` : '$4'}::bytea[], $3::int8)`,
      values: [
        int8Value(position),
        Buffer.from(dataSha256, 'hex'),
        int8Value(searchedTo),
        ...(texts.length === 0 ? [] : [byteaArray(texts.map((text) => Buffer.from(text, 'hex')))]),
      ],
      expectedRows: null,
    }))
  }

  committed(): void {
    const erased = this.#staged.splice(0)
    if (erased.length === 0) return
    this.#onErased(
      erased.map(({ position, dataSha256, texts }) => ({ position, sha256: Buffer.from(dataSha256, 'hex'), texts })),
    )
  }

  dropped(): void {
    this.#staged = []
  }

  /** Looks at an event and at who else names its big texts. Null where the log has no such event, or it has no data any more. */
  async plan(position: bigint): Promise<ErasurePlan | null> {
    const pool = this.#pool
    if (pool === null) throw new Error('Cannot plan an erasure: the log is not open')
    const { rows } = await pool.query<{ stream: string; type: string; data: Buffer; last: bigint }>(
      `select s.name as stream, t.name as type, e.data, (select max(last_pos) from commit) as last
        from event e join stream s using (stream_id) join event_type t using (type_id) where e.pos = $1::int8 and e.data is not null`,
      [position],
    )
    const [event] = rows
    if (event === undefined) return null
    const mentioned = [...new Set(event.data.toString('latin1').match(hashPattern) ?? [])]
    const texts: string[] = []
    for (const text of mentioned) if (await isNamedOnlyBy(pool, { text, position })) texts.push(text)
    const { stream, type, data, last } = event
    return { position, stream, type, dataSha256: sha256(data).toString('hex'), texts, searchedTo: last }
  }
}

/** Whether there is a big text of that name which no event but this one names. */
async function isNamedOnlyBy(
  pool: pg.Pool,
  { text, position }: { readonly text: string; readonly position: bigint },
): Promise<boolean> {
  const { rows } = await pool.query<{ only: boolean }>(
    `select exists (select 1 from blob where sha256 = decode($1::text, 'hex')) and not exists (
      select 1 from event e where e.pos <> $2::int8 and e.data is not null
        and e.type_id not in (select type_id from event_type where name = $3::text)
        and position(convert_to($1::text, 'UTF8') in e.data) > 0) as only`,
    [text, position, erasureType],
  )
  return rows[0]?.only === true
}

function erasureOf({ data, position }: RecordedEvent): Erasure {
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), erasureSchema), Buffer.from(data).toString())
  if (parsed.success) return parsed.output
  throw new InvalidAppendError(`Cannot append ${erasureType} at @${position}: it does not say what to erase`)
}
