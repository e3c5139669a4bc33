import { expect, test } from 'vitest'
import { subscribeToMany } from '../bench/grpc-million.ts'

test('a subscription of another process is told every event once and in order, those there and those that come', async () => {
  // A million by `node test/bench/grpc-million.ts`.
  const { events, outOfOrder } = await subscribeToMany(20_000)
  expect({ events, outOfOrder }).toEqual({ events: 20_000, outOfOrder: 0 })
})
