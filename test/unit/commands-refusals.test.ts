import { describe, expect, test } from 'vitest'
import { decodeFact } from '../../src/events/catalogue.ts'
import { callerOf, definitionOf, FakeMachine, operator } from '../support/fake-host.ts'
import type { MemoryLog } from '../support/memory-log.ts'

const nobody = '11111111-2222-4333-8444-555555555555'

function refusals(log: MemoryLog, uid = 1000) {
  return log.events.flatMap((event) => {
    const fact = decodeFact(event.type, event)
    return event.stream === `refusals-${uid}` && fact.type === 'CommandRefused' ? [fact.data] : []
  })
}

describe('Refusals', () => {
  test('records which command was refused, by which rule and in which words', async () => {
    const machine = new FakeMachine()
    const { commands } = machine.boot()
    const caller = callerOf(1000, { procedure: 'DOMAIN_CREATE', reason: 'CHG-1' })
    await expect(commands.startDomain(caller, { uuid: nobody, paused: false })).rejects.toThrow()
    expect(refusals(machine.log)).toEqual([
      {
        procedure: 'DOMAIN_CREATE',
        rule: 'no_domain',
        message: `no domain with matching uuid '${nobody}'`,
        subject: nobody,
        count: 1,
      },
    ])
  })

  test.each(['one after the other', 'all at once'])('bounds what 1,000 refusals of one user, %s, cost', async (how) => {
    const machine = new FakeMachine()
    const { commands, host } = machine.boot()
    await expect(commands.suspendDomain(operator, nobody)).rejects.toThrow()
    await machine.time.advance(5_000)
    const ask = async () => {
      await expect(commands.suspendDomain(operator, nobody)).rejects.toThrow()
    }
    if (how === 'all at once') await Promise.all(Array.from({ length: 1_000 }, ask))
    else for (let at = 0; at < 1_000; at++) await ask()
    await host.refusals.flush()
    const own = refusals(machine.log)
    expect(own.length).toBeLessThanOrEqual(12)
    expect(own.reduce((sum, one) => sum + one.count, 0)).toBe(1_001)
  })

  test('bounds each user alone: a flood of one hides no refusal of another', async () => {
    const machine = new FakeMachine()
    const { commands } = machine.boot()
    for (let at = 0; at < 100; at++) await expect(commands.suspendDomain(operator, nobody)).rejects.toThrow()
    await expect(commands.suspendDomain(callerOf(1001), nobody)).rejects.toThrow()
    expect(refusals(machine.log, 1001)).toHaveLength(1)
  })

  test('tells the caller the same when the refusal cannot be recorded', async () => {
    const machine = new FakeMachine()
    const daemon = machine.boot()
    machine.log.failNext(1_000)
    await expect(daemon.commands.defineDomain(operator, { xml: '<domain', validate: false })).rejects.toMatchObject({
      kind: 'xml_malformed',
    })
    expect(daemon.notes.map((note) => note.message)).toContain('A refusal could not be recorded')
  })

  test('does not record that the log is away, nor the failure of what was accepted', async () => {
    const machine = new FakeMachine()
    const { commands } = machine.boot()
    const { uuid } = await commands.defineDomain(operator, { xml: definitionOf('web'), validate: false })
    machine.log.failOn('DomainStartRequested')
    await expect(commands.startDomain(operator, { uuid, paused: false })).rejects.toMatchObject({
      kind: 'log_unavailable',
    })
    expect(refusals(machine.log)).toEqual([])
  })
})
