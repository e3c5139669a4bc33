// Balances, now and at any moment before. Run it with a directory for the database: node readmodel-example.ts /tmp/balances
import { jsonEvent, openEmbeddedPostgres, openEventStore } from 'chronovisor/eventstore'
import { type JsonEvent, projection, ReadModels, table, upsert } from 'chronovisor/readmodel'

type Booked = JsonEvent<'Booked', { readonly account: string; readonly cents: string }>
type Balance = { readonly account: string; readonly cents: bigint }

const balances = table<Balance>()('balances', ['account'])
const balancesSql =
  'create table balances (account text not null, cents bigint not null, like temporal_row including comments)'

// A live projection is changed in the transaction of every commit; what a handler throws refuses the append.
const booked = projection<Booked>()({
  name: 'balances',
  version: 1,
  live: true,
  tables: { balances },
  on: {
    Booked({ data: { account, cents } }, rows) {
      const after = (rows.balances.get({ account })?.cents ?? 0n) + BigInt(cents)
      if (after < 0n) throw new Error(`Cannot book ${cents} on ${account}: that leaves ${after}`)
      return [upsert(balances, { account, cents: after })]
    },
  },
})

const models = new ReadModels({ readModels: [{ projection: booked, sql: balancesSql }] })
await using server = await openEmbeddedPostgres({ stateDir: process.argv[2] ?? '/tmp/chronovisor-example' })
await using log = await openEventStore({ address: server.address, participants: [models] })

const book = (account: string, cents: bigint) =>
  log.append([
    { stream: `account-${account}`, expectedRevision: 'any', events: [jsonEvent('Booked', { account, cents })] },
  ])
const first = await book('ada', 100n)
await book('ada', 50n)
await book('ada', -500n).catch((error: unknown) => console.log(`refused: ${String(error)}`))

console.log('now', models.view.rows(balances).get({ account: 'ada' }))
const past = await models.asOf({ position: first.lastPosition })
console.log('then', past.rows(balances).get({ account: 'ada' }))

// Built anew beside what serves, compared row by row, put in place.
const { identical, heldMs } = await models.rebuild('balances', { then: 'switch' })
console.log('rebuilt', { identical, switched: heldMs !== null })
console.log('replayed', (await models.replayCheck()).identical)
