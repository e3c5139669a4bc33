import { describe, expect, test } from 'vitest'
import { decodeFact } from '../../src/events/catalogue.ts'
import { decodeMetadata } from '../../src/events/metadata.ts'
import { newContext } from '../../src/commands/run-command.ts'
import { Fault } from '../../src/util/fault.ts'
import { definitionOf, FakeMachine, operator } from '../support/fake-host.ts'
import type { MemoryLog } from '../support/memory-log.ts'
import { expectSettled } from '../support/settled.ts'

/** The capability versions that each command's facts were judged by: never more than one. */
function versionsByCommand(log: MemoryLog): ReadonlyMap<string, ReadonlySet<string>> {
  const versions = new Map<string, Set<string>>()
  for (const event of log.events) {
    if (!event.stream.startsWith('domain-')) continue
    const { commandId, capsId } = decodeMetadata(event.meta)
    const { data } = decodeFact(event.type, event)
    const own = versions.get(commandId) ?? new Set()
    if (capsId !== null) own.add(capsId)
    if ('capsId' in data) own.add(data.capsId)
    versions.set(commandId, own)
  }
  return versions
}

/** Facts that rest on a version: none of them may stand behind its invalidation. */
function factsOnDeadVersions(log: MemoryLog): readonly string[] {
  const dead = new Set<string>()
  return log.events.flatMap((event) => {
    const fact = decodeFact(event.type, event)
    if (fact.type === 'EmulatorInvalidated') dead.add(fact.data.capsId)
    const rests = fact.type === 'DomainDefined' || fact.type === 'DomainStartRequested'
    return rests && dead.has(fact.data.capsId) ? [fact.type] : []
  })
}

describe('CapsCache', () => {
  test('asks an emulator once, however many ask at the same time and however often the daemon starts', async () => {
    const machine = new FakeMachine()
    const daemon = machine.boot()
    const names = Array.from({ length: 20 }, (_, at) => `web${at}`)
    await Promise.all(
      names.map(
        async (name) => await daemon.commands.defineDomain(operator, { xml: definitionOf(name), validate: false }),
      ),
    )
    const next = await daemon.restarted()
    await next.commands.defineDomain(operator, { xml: definitionOf('later'), validate: false })
    expect(machine.log.types().filter((type) => type === 'EmulatorProbed')).toHaveLength(1)
  })

  test('records one invalidation and one new version when many tasks find the emulator replaced', async () => {
    const machine = new FakeMachine()
    const { commands } = machine.boot()
    await commands.defineDomain(operator, { xml: definitionOf('web'), validate: false })
    machine.script.emulatorVersion = 2_000_000
    const names = Array.from({ length: 20 }, (_, at) => `web${at}`)
    await Promise.all(
      names.map(async (name) => await commands.defineDomain(operator, { xml: definitionOf(name), validate: false })),
    )
    const own = machine.log.types().filter((type) => type.startsWith('Emulator'))
    expect(own).toEqual(['EmulatorProbed', 'EmulatorInvalidated', 'EmulatorProbed'])
    expect(factsOnDeadVersions(machine.log)).toEqual([])
  })

  test('remembers that an emulator could not be asked, with the error, and records it once', async () => {
    const machine = new FakeMachine()
    const { commands, host } = machine.boot()
    machine.script.failNext('probe', new Fault('operation_failed', 'Cannot probe: it crashed'))
    const define = async () => await commands.defineDomain(operator, { xml: definitionOf('web'), validate: false })
    await expect(define()).rejects.toThrow('Cannot probe: it crashed')
    await expect(define()).rejects.toThrow('Cannot use emulator "test": Cannot probe: it crashed')
    expect(machine.log.types().filter((type) => type === 'EmulatorProbeFailed')).toHaveLength(1)
    expect(host.reads.emulator('test')).toMatchObject({ state: 'unprobeable' })
  })

  test('takes a capability version up again when the emulator changed back', async () => {
    const machine = new FakeMachine()
    const { commands, host } = machine.boot()
    const define = async () => await commands.defineDomain(operator, { xml: definitionOf('web'), validate: false })
    await define()
    const first = host.reads.emulator('test')?.caps_id
    machine.script.emulatorVersion = 2_000_000
    await define()
    expect(host.reads.emulator('test')?.caps_id).not.toBe(first)
    expect(host.reads.byName('web')?.definition?.caps_id).toBe(host.reads.emulator('test')?.caps_id)
  })
})

test('CapsCache.invalidate() leaves the version alone that came in the place of the one found stale', async () => {
  const machine = new FakeMachine()
  const { commands, host } = machine.boot()
  const define = async () => await commands.defineDomain(operator, { xml: definitionOf('web'), validate: false })
  await define()
  const first = host.reads.emulator('test')?.caps_id ?? ''
  machine.script.emulatorVersion = 2_000_000
  await define()
  const context = newContext(operator)
  const found = { stale: { reason: 'emulator_changed', was: '1', is: '2' }, detectedBy: 'test', context } as const
  await host.caps.invalidate({ binary: 'test', capsId: first }, found)
  expect(host.reads.emulator('test')).toMatchObject({ state: 'valid' })
  expect(machine.log.types().filter((type) => type === 'EmulatorInvalidated')).toHaveLength(1)
})

describe('a capability version that is invalidated under a task', () => {
  /** Invalidates the version at the nth answer of the log, so that every step of a command is hit once. */
  async function run(step: number, act: 'define' | 'start'): Promise<{ machine: FakeMachine; isHit: boolean }> {
    const machine = new FakeMachine()
    const daemon = machine.boot()
    const { commands, host } = daemon
    const define = async () => await commands.defineDomain(operator, { xml: definitionOf('web'), validate: false })
    const { uuid } = await define()
    const task = act === 'define' ? define() : commands.startDomain(operator, { uuid, paused: false })
    let isDone = false
    const settled = Promise.allSettled([task]).finally(() => {
      isDone = true
    })
    for (let at = 0; at < step && !isDone; at++) await Promise.resolve()
    const isHit = !isDone
    machine.script.emulatorVersion = 2_000_000
    const found = { reason: 'emulator_changed', was: '1', is: '2' } as const
    const capsId = host.reads.emulator('test')?.caps_id ?? ''
    await host.caps.invalidate(
      { binary: 'test', capsId },
      {
        stale: found,
        detectedBy: 'test',
        context: {
          caller: operator,
          commandId: '0197a7a0-0000-7000-8000-000000000001',
          correlationId: 'x',
          causationId: null,
          capsId: null,
        },
      },
    )
    await settled
    await expectSettled(daemon)
    const [outcome] = await settled
    if (outcome.status === 'rejected') {
      // Only a start that had its intent recorded may end so; a task that acted on nothing yet starts over.
      expect(machine.log.types()).toContain('DomainStartFailed')
      expect(machine.log.types()).toContain('TaskAborted')
    }
    return { machine, isHit }
  }

  test.each(['define', 'start'] as const)(
    'restarts %s before its first side effect, and never mixes two versions',
    async (act) => {
      let isHit = true
      let restarts = 0
      for (let step = 0; isHit; step++) {
        const result = await run(step, act)
        isHit = result.isHit
        for (const [command, versions] of versionsByCommand(result.machine.log)) {
          expect([...versions].length, `versions of command ${command} at step ${step}`).toBeLessThanOrEqual(1)
        }
        expect(factsOnDeadVersions(result.machine.log), `step ${step}`).toEqual([])
        const probes = result.machine.log.types().filter((type) => type === 'EmulatorProbed').length
        if (probes === 2) restarts++
      }
      expect(restarts).toBeGreaterThan(0)
    },
  )

  test('ends a task in words when it cannot get a version that lives', async () => {
    const machine = new FakeMachine()
    const { commands, host } = machine.boot()
    const define = async () => await commands.defineDomain(operator, { xml: definitionOf('web'), validate: false })
    await define()
    // Every version that the task takes is dead at the next look.
    const isCurrent = host.caps.isCurrent.bind(host.caps)
    let looks = 0
    host.caps.isCurrent = (...args) => {
      looks++
      return isCurrent(...args) && false
    }
    await expect(define()).rejects.toThrow(/was invalidated in each of 4 attempts; nothing was changed/)
    expect(looks).toBeGreaterThanOrEqual(4)
    expect(machine.log.types().slice(-1)).toEqual(['CommandRefused'])
  })
})
