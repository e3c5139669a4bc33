import pg from 'pg'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import type { ConsumedEvent } from './history.ts'

/** What a consumer writes down: its output and how far it is. The table has no key over positions, so that a second delivery is seen. */
const tables = `
  create table output (number bigint generated always as identity primary key, consumer text not null, position bigint not null, event_id uuid not null);
  create table progress (consumer text primary key, position bigint not null)`

/** A save that found another position than this consumer left: a former process of it was faster, it must start from there. */
export class OvertakenError extends Error {
  override readonly name = 'OvertakenError'
}

/** Makes the tables of the consumers of a run. */
export async function makeJournals(address: PostgresAddress, consumers: readonly string[]): Promise<void> {
  const client = await connect(address)
  try {
    await client.query(tables)
    await client.query('insert into progress select name, -1 from unnest($1::text[]) as name', [consumers])
  } finally {
    await client.end()
  }
}

/** The output and progress of one consumer, on a connection of its own. */
export class Journal implements AsyncDisposable {
  readonly #client: pg.Client
  readonly #consumer: string
  readonly #isApart: boolean

  private constructor(
    client: pg.Client,
    { consumer, isApart }: { readonly consumer: string; readonly isApart: boolean },
  ) {
    this.#client = client
    this.#consumer = consumer
    this.#isApart = isApart
  }

  /** `isApart`: the broken way, the position is committed before the output. */
  static async open(
    address: PostgresAddress,
    options: { readonly consumer: string; readonly isApart?: boolean },
  ): Promise<Journal> {
    return new Journal(await connect(address), { isApart: false, ...options })
  }

  /** The last position that was dealt with. */
  async position(): Promise<bigint> {
    const { rows } = await this.#client.query<{ position: string }>(
      'select position from progress where consumer = $1::text',
      [this.#consumer],
    )
    return BigInt(rows[0]?.position ?? -1)
  }

  /** Writes down events and the position after them, both or neither. Throws {@link OvertakenError}. */
  async save(
    events: readonly ConsumedEvent[],
    { from, to }: { readonly from: bigint; readonly to: bigint },
  ): Promise<void> {
    await this.#client.query('begin')
    const { rowCount } = await this.#client.query(
      'update progress set position = $1::int8 where consumer = $2::text and position = $3::int8',
      [to, this.#consumer, from],
    )
    if (rowCount !== 1) {
      await this.#client.query('rollback')
      throw new OvertakenError(`Cannot save: consumer "${this.#consumer}" is not at position ${from} any more`)
    }
    if (this.#isApart) await this.#client.query('commit; begin')
    await this.add(events)
    await this.#client.query('commit')
  }

  /** Writes down events, without a position: for a consumer whose store keeps that. */
  async add(events: readonly ConsumedEvent[]): Promise<void> {
    await this.#client.query(
      `insert into output (consumer, position, event_id)
        select $1::text, position, event_id from unnest($2::int8[], $3::uuid[]) with ordinality as e (position, event_id, n) order by n`,
      [this.#consumer, events.map(({ position }) => String(position)), events.map(({ eventId }) => eventId)],
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end().catch(() => undefined)
  }
}

/** Everything that the consumers wrote down, by consumer, in the order in which it was written. */
export async function readJournals(
  address: PostgresAddress,
  consumers: readonly string[],
): Promise<ReadonlyMap<string, { readonly rows: readonly ConsumedEvent[]; readonly position: bigint }>> {
  const client = await connect(address)
  try {
    const read = new Map<string, { rows: ConsumedEvent[]; position: bigint }>()
    for (const consumer of consumers) {
      const output = await client.query<{ position: string; event_id: string }>(
        'select position, event_id from output where consumer = $1::text order by number',
        [consumer],
      )
      const progress = await client.query<{ position: string }>(
        'select position from progress where consumer = $1::text',
        [consumer],
      )
      const rows = output.rows.map((row) => ({ position: BigInt(row.position), eventId: row.event_id }))
      read.set(consumer, { rows, position: BigInt(progress.rows[0]?.position ?? -1) })
    }
    return read
  } finally {
    await client.end()
  }
}

async function connect(address: PostgresAddress): Promise<pg.Client> {
  const client = new pg.Client({ ...address, application_name: 'chaos consumer', connectionTimeoutMillis: 5_000 })
  client.on('error', () => undefined) // the query that is under way rejects
  await client.connect()
  return client
}
