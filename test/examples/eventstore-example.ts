// Transfers between accounts. Run it with a directory for the database: node eventstore-example.ts /tmp/accounts
import {
  jsonData,
  jsonEvent,
  openEmbeddedPostgres,
  openEventStore,
  WrongExpectedRevisionError,
} from 'chronovisor/eventstore'

const stateDir = process.argv[2] ?? '/tmp/chronovisor-example'
await using server = await openEmbeddedPostgres({ stateDir })
await using log = await openEventStore({ address: server.address })

// Streams in one append are committed together or not at all; `no_stream` demands that they are new.
const opened = (owner: string) => [jsonEvent('AccountOpened', { owner, cents: 10_000n })]
await log.append([
  { stream: 'account-ada', expectedRevision: 'no_stream', events: opened('Ada') },
  { stream: 'account-bob', expectedRevision: 'no_stream', events: opened('Bob') },
])

// An exact revision is the lock: who decided on an older state is refused, reads again and decides anew.
const withdrawn = [jsonEvent('MoneyWithdrawn', { cents: 2_500n })]
await log.append([{ stream: 'account-ada', expectedRevision: 0n, events: withdrawn }])
try {
  await log.append([{ stream: 'account-ada', expectedRevision: 0n, events: [jsonEvent('AccountClosed', {})] }])
} catch (error) {
  if (!(error instanceof WrongExpectedRevisionError)) throw error
  console.log(`refused: ${error.message}`)
}

// Or the decision is made in the writer's turn, where nothing can come between.
await log.append((turn) => [
  {
    stream: 'account-bob',
    expectedRevision: 'stream_exists',
    events: turn.revision('account-bob') === 0n ? [jsonEvent('MoneyDeposited', { cents: 2_500n })] : [],
  },
])

for await (const { revision, type, data } of log.readStream('account-ada')) {
  console.log(`account-ada ${revision} ${type} ${new TextDecoder().decode(data)}`)
}

// A subscription tells what is there, then what comes, every event once and in order.
const filter = { streams: { prefixes: ['account-'] }, types: { pattern: /^Money/ } }
for await (const delivery of log.subscribe({ filter })) {
  if (delivery.kind === 'event') console.log(`told ${delivery.event.type}`, jsonData(delivery.event))
  if (delivery.kind === 'caught-up') break
}
console.log(`the log ends at ${log.head.position}`)
