import { setTimeout as sleep } from 'node:timers/promises'
import { UnavailableError, WrongExpectedVersionError } from '@eventstore/db-client'
import { expect, test } from 'vitest'
import { collectEvents, numbered, serveGrpc, patience } from '../support/grpc-kit.ts'
import { openLog } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

const unsent = { credentials: { username: 'nobody', password: 'unsent' } }

test('while the database is away appends fail as unavailable, and subscriptions go on when it is back', async () => {
  await using postgres = await ScratchPostgres.start()
  await using store = await openLog(await postgres.createDatabase())
  await using grpc = await serveGrpc(store)
  const client = grpc.client()
  await client.appendToStream('a-1', numbered(1))
  const told: (bigint | undefined)[] = []
  const subscription = client.subscribeToStream('a-1')
  subscription.on('data', ({ event }) => told.push(event?.revision))
  await expect.poll(() => told, patience).toEqual([0n])

  await postgres.kill()
  // An append before the loss is noticed would be in doubt, and wait for longer than the client does.
  await expect.poll(() => store.stats.unavailable, patience).not.toBeNull()
  for (const options of [{}, unsent]) {
    const failure = await client.appendToStream('a-1', numbered(1), options).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(UnavailableError)
    expect(failure).toHaveProperty('message', expect.stringContaining('the log is unavailable since'))
  }
  await postgres.resume()

  const events = numbered(1)
  for (;;) {
    const failure = await client.appendToStream('a-1', events, { expectedRevision: 0n }).then(
      () => null,
      (error: unknown) => error,
    )
    expect(failure).not.toBeInstanceOf(WrongExpectedVersionError)
    if (failure === null) break
    await sleep(50)
  }
  expect(await collectEvents(client.readStream('a-1'))).toHaveLength(2)
  await expect.poll(() => told, patience).toEqual([0n, 1n])
  await subscription.unsubscribe()
})

test('a log that is closed answers as unavailable', async () => {
  await using postgres = await ScratchPostgres.start()
  const store = await openLog(await postgres.createDatabase())
  await using grpc = await serveGrpc(store)
  await store.close()
  const failure = await grpc
    .client()
    .appendToStream('a-1', numbered(1))
    .catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(UnavailableError)
})
