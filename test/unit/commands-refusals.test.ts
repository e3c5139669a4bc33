import { describe, expect, test } from 'vitest'
import { decodeFact } from '../../src/events/catalogue.ts'
import { Fault } from '../../src/util/fault.ts'
import { newContext } from '../../src/commands/run-command.ts'
import { Refusals } from '../../src/commands/refusals.ts'
import { callerOf, definitionOf, FakeMachine, operator } from '../support/fake-host.ts'
import type { MemoryLog } from '../support/memory-log.ts'

const nobody = '11111111-2222-4333-8444-555555555555'

function refusals(log: MemoryLog, uid = 1000) {
  return log.events.flatMap((event) => {
    const fact = decodeFact(event.type, event)
    return event.stream === `refusals-${uid}` && fact.type === 'CommandRefused' ? [fact.data] : []
  })
}

function counted(log: MemoryLog) {
  return log.events.flatMap((event) => {
    const fact = decodeFact(event.type, event)
    return fact.type === 'RefusalsCounted' ? [fact.data] : []
  })
}

/** Time that is set by hand, with timers that fire as it passes. */
function handClock() {
  let nowMs = 0
  const planned = new Set<{ readonly atMs: number; readonly action: () => void }>()
  return {
    clock: { nowUs: () => BigInt(Math.round(nowMs * 1000)), monotonicMs: () => nowMs },
    timers: {
      nowMs: () => nowMs,
      after: (delayMs: number, action: () => void) => {
        const plan = { atMs: nowMs + delayMs, action }
        planned.add(plan)
        return { cancel: () => void planned.delete(plan) }
      },
    },
    advanceTo: (ms: number) => {
      nowMs = ms
      for (const plan of [...planned].filter(({ atMs }) => atMs <= ms)) {
        planned.delete(plan)
        plan.action()
      }
    },
  }
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
    expect(refusals(machine.log)).toHaveLength(11)
    const windows = counted(machine.log)
    expect(windows).toMatchObject([{ uid: 1000, count: 990, otherCount: 0 }])
    expect(windows[0]?.counts).toContainEqual({
      program: 'virsh',
      procedure: 'TEST',
      rule: 'no_domain',
      // All at once, most of them are refused for the number of those that wait.
      count: how === 'all at once' ? 9 : 990,
    })
    expect(windows[0]?.counts.reduce((sum, { count }) => sum + count, 0)).toBe(990)
  })

  test('counts in windows that become longer while a flood lasts, and shorter after it', async () => {
    const machine = new FakeMachine()
    const { commands } = machine.boot()
    const ask = async () => await expect(commands.suspendDomain(operator, nobody)).rejects.toThrow()
    const flood = async (seconds: number) => {
      for (let at = 0; at < seconds * 20; at++) {
        await ask()
        await machine.time.advance(50)
      }
    }
    await flood(150)
    await machine.time.advance(120_000)
    await flood(4)
    await machine.time.advance(60_000)
    const windows = counted(machine.log)
    const lengthsS = windows.map(({ sinceUs, untilUs }) => Math.round(Number(untilUs - sinceUs) / 1_000_000))
    expect(lengthsS.slice(0, 3)).toEqual([1, 10, 60])
    expect(lengthsS.at(-2)).toBe(1)
    const all = windows.reduce((sum, one) => sum + one.count, refusals(machine.log).length)
    expect(all).toBe(154 * 20)
    expect(windows.length).toBeLessThan(8)
  })

  test.each([
    ['an hour', 3_600_000],
    ['a week', 7 * 86_400_000],
  ])(
    'bounds 100,000 refusals of one user that come slowly on purpose, over %s',
    { timeout: 60_000 },
    async (_, lastsMs) => {
      const machine = new FakeMachine()
      const { host } = machine.boot()
      const { clock, timers, advanceTo } = handClock()
      const flooded = new Refusals({ ...host, clock }, timers)
      const caller = callerOf(1000, { procedure: 'DOMAIN_CREATE' })
      for (let at = 0; at < 100_000; at++) {
        advanceTo((at * lastsMs) / 100_000)
        const noting = flooded.note(
          newContext(caller),
          new Fault('no_domain', `no domain with uuid '${nobody}'`),
          nobody,
        )
        if (noting !== undefined) await noting
      }
      await flooded.flush()
      const recorded = machine.log.types().filter((type) => type === 'CommandRefused').length
      expect(recorded + counted(machine.log).reduce((sum, { count }) => sum + count, 0)).toBe(100_000)
      // However many more they are in that time, they are only counted.
      // What an event of this size takes on disk with its indexes and its share of a commit, as measured, and more.
      const besideBytes = 400
      const bytes = machine.log.events.reduce((sum, { data, meta }) => sum + data.length + meta.length + besideBytes, 0)
      expect(bytes).toBeLessThan(50_000_000)
    },
  )

  test('charges a refusal by its size: long messages use the budget up sooner', async () => {
    const machine = new FakeMachine()
    const { host } = machine.boot()
    const note = (message: string) => host.refusals.note(newContext(operator), new Fault('xml_error', message), null)
    const controls = '\u0001'.repeat(10_000)
    await note(controls)
    await note(controls)
    await host.refusals.flush()
    expect(refusals(machine.log)).toHaveLength(1)
    expect(counted(machine.log)).toMatchObject([{ count: 1 }])
    expect(Math.max(...machine.log.events.map(({ data }) => data.length))).toBeLessThan(30_000)
  })

  test('tells so many programs, procedures and rules apart, and counts the rest in one sum', async () => {
    const machine = new FakeMachine()
    const { host } = machine.boot()
    for (let at = 0; at < 1_000; at++) {
      const caller = callerOf(1000, { procedure: `P${at % 40}` })
      await host.refusals.note(newContext(caller), new Fault('no_domain', `no ${at}`), null)
    }
    await host.refusals.flush()
    const [window] = counted(machine.log)
    expect(window?.counts).toHaveLength(16)
    expect(window).toMatchObject({ count: 990, lastMessage: 'no 999' })
    const listed = window?.counts.reduce((sum, row) => sum + row.count, 0) ?? 0
    expect(listed + (window?.otherCount ?? 0)).toBe(990)
  })

  test('counts the users beyond those that are told apart together, and forgets users that are quiet', async () => {
    const machine = new FakeMachine()
    const { host } = machine.boot()
    const note = async (uid: number) => {
      await host.refusals.note(newContext(callerOf(uid)), new Fault('no_domain', 'none'), null)
    }
    for (let uid = 1; uid <= 300; uid++) await note(uid)
    await host.refusals.flush()
    expect(refusals(machine.log, 1)).toHaveLength(1)
    expect(machine.log.types('refusals-others')).toEqual(['RefusalsCounted'])
    const sum = counted(machine.log).reduce((all, { count }) => all + count, 0)
    expect(sum + machine.log.types().filter((type) => type === 'CommandRefused').length).toBe(300)
    await machine.time.advance(86_400_000)
    await note(1_000_000)
    expect(refusals(machine.log, 1_000_000)).toHaveLength(1)
  })

  test('loses none while the log is away, and counts none twice', async () => {
    const machine = new FakeMachine()
    const { commands } = machine.boot()
    const ask = async () => await expect(commands.suspendDomain(operator, nobody)).rejects.toThrow()
    machine.log.failNext(1_000_000)
    for (let at = 0; at < 50; at++) await ask()
    await machine.time.advance(30_000)
    machine.log.comeBack()
    await machine.time.advance(120_000)
    expect(refusals(machine.log)).toEqual([])
    expect(counted(machine.log)).toMatchObject([{ count: 50, counts: [{ count: 50 }] }])
    await machine.time.advance(600_000)
    expect(counted(machine.log)).toHaveLength(1)
    expect(machine.time.plannedCount).toBe(0)
  })

  test('notes a refusal once, however many layers meet it, and no outcome of what was begun', async () => {
    const machine = new FakeMachine()
    const { host, commands } = machine.boot()
    const fault = new Fault('access_denied', 'read only access prevents DOMAIN_CREATE')
    await commands.noteRefusal(operator, fault)
    await commands.noteRefusal(operator, fault)
    const outcome = new Fault('operation_failed', 'QEMU said no')
    host.refusals.settle(outcome)
    await commands.noteRefusal(operator, outcome)
    await commands.noteRefusal(operator, new Fault('rpc', 'Unable to decode message payload'))
    expect(refusals(machine.log)).toMatchObject([{ rule: 'access_denied' }])
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
