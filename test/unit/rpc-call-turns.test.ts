import { setImmediate as turn } from 'node:timers/promises'
import { expect, describe, test } from 'vitest'
import { remoteProcedures as procedures } from '../../src/protocol/procedure-table.ts'
import { CallTurns } from '../../src/rpc/call-turns.ts'
import { startMemoryServer } from '../support/memory-server.ts'
import { RpcClient } from '../support/rpc-client.ts'

/** A connection with calls to begin, and how many it has begun. */
function connection(turns: CallTurns, uid: number, calls: number) {
  const state = { begun: 0, go: () => {} }
  state.go = () => {
    while (state.begun < calls && turns.take(uid, state.go)) state.begun++
  }
  state.go()
  return state
}

describe('CallTurns', () => {
  test('lets each user begin so many calls in a turn, whatever the others do', async () => {
    const turns = new CallTurns()
    const flood = Array.from({ length: 10 }, () => connection(turns, 1, 50))
    const other = connection(turns, 2, 10)
    const sum = () => flood.reduce((all, { begun }) => all + begun, 0)
    expect([sum(), other.begun]).toEqual([64, 10])
    await turn()
    expect(sum()).toBe(128)
    for (let at = 0; at < 8; at++) await turn()
    expect(sum()).toBe(500)
  })

  test('lets the connections of one user take turns: none is kept waiting by those that ask for more', async () => {
    const turns = new CallTurns()
    const flood = Array.from({ length: 8 }, () => connection(turns, 1, 1_000))
    const late = connection(turns, 1, 3)
    expect(flood.map(({ begun }) => begun)).toEqual([16, 16, 16, 16, 0, 0, 0, 0])
    await turn()
    expect(flood.map(({ begun }) => begun)).toEqual(Array(8).fill(16))
    await turn()
    expect(late.begun).toBe(3)
  })

  test('begins every call, and plans nothing when there is none', async () => {
    const turns = new CallTurns()
    const all = [100, 1, 333, 64].map((calls) => connection(turns, 1, calls))
    for (let at = 0; at < 40; at++) await turn()
    expect(all.map(({ begun }) => begun)).toEqual([100, 1, 333, 64])
  })
})

test('RpcServer answers somebody else before all calls of a flood', async () => {
  await using served = await startMemoryServer()
  await using flooder = await RpcClient.open(served.path)
  await using other = await RpcClient.open(served.path)
  let answered = 0
  const flood = Array.from({ length: 2_000 }, async () => {
    await flooder.call(procedures.connectGetHostname, {})
    answered++
  })
  await other.call(procedures.connectGetHostname, {})
  expect(answered).toBeLessThan(2_000)
  await Promise.all(flood)
  expect(answered).toBe(2_000)
})
