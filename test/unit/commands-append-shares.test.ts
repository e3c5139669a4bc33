import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { AppendShares } from '../../src/commands/append-shares.ts'
import { LogBusyError } from '../../src/eventstore/append-errors.ts'
import { callerOf } from '../support/fake-host.ts'

/** Appends that end when they are told to, in the order in which they were let in. */
function slowLog() {
  const open: { readonly name: string; readonly end: () => void; readonly fail: (error: Error) => void }[] = []
  const append = (name: string) => async () =>
    await new Promise<string>((resolve, fail) => open.push({ name, end: () => resolve(name), fail }))
  return { open, append, names: () => open.map(({ name }) => name) }
}

const [one, other] = [callerOf(1000).actor, callerOf(1001).actor]

describe('AppendShares', () => {
  test('lets only so many of a user into the queue, and the others in at once', async () => {
    const shares = new AppendShares({ maxQueued: 2, maxWaiting: 10 })
    const log = slowLog()
    const answers = ['a1', 'a2', 'a3', 'a4'].map(async (name) => await shares.run(one, log.append(name)))
    answers.push(shares.run(other, log.append('b1')))
    await turn()
    expect(log.names()).toEqual(['a1', 'a2', 'b1'])
    log.open[1]?.end()
    await turn()
    expect(log.names()).toEqual(['a1', 'a2', 'b1', 'a3'])
    for (const at of [0, 2, 3, 4]) {
      log.open[at]?.end()
      await turn()
    }
    expect(await Promise.all(answers)).toEqual(['a1', 'a2', 'a3', 'a4', 'b1'])
  })

  test('gives the place of one that failed to the next', async () => {
    const shares = new AppendShares({ maxQueued: 1, maxWaiting: 10 })
    const log = slowLog()
    const failing = expect(shares.run(one, log.append('a1'))).rejects.toThrow('no room')
    const next = shares.run(one, log.append('a2'))
    log.open[0]?.fail(new Error('no room'))
    await failing
    await turn()
    log.open[1]?.end()
    expect(await next).toBe('a2')
  })

  test('refuses a user of whom too many wait, in the words of a full queue', async () => {
    const shares = new AppendShares({ maxQueued: 1, maxWaiting: 1 })
    const log = slowLog()
    const [first, second] = [shares.run(one, log.append('a1')), shares.run(one, log.append('a2'))]
    await expect(shares.run(one, log.append('a3'))).rejects.toThrow(LogBusyError)
    await expect(shares.run(one, log.append('a3'))).rejects.toThrow(
      'Cannot append: 1 requests of uid 1000 wait already',
    )
    log.open[0]?.end()
    await first
    await turn()
    log.open[1]?.end()
    await second
  })

  test('does not limit the daemon itself', async () => {
    const shares = new AppendShares({ maxQueued: 1, maxWaiting: 0 })
    const log = slowLog()
    const self = { ...one, authentication: 'self' }
    const appends = ['a', 'b', 'c'].map(async (name) => await shares.run(self, log.append(name)))
    expect(log.names()).toEqual(['a', 'b', 'c'])
    for (const { end } of log.open) end()
    await Promise.all(appends)
  })
})
