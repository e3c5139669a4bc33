import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import type { DriverFact, ProcessIdentity } from '../../src/driver/driver.ts'
import type { ProcessTable } from '../../src/driver/host-facts.ts'
import { DomainSession, type DomainSessionOptions } from '../../src/qemu/domain-session.ts'
import { endProcess } from '../../src/qemu/end-process.ts'
import { QmpClient } from '../../src/qemu/qmp-client.ts'
import { answer, FakeMonitor, type FakeMonitorScript } from '../support/fake-monitor.ts'
import type { Socket } from 'node:net'

const signal = new AbortController().signal
const uuid = 'u'
const identity: ProcessIdentity = { pid: 77, startTicks: 1n, bootId: 'b' }

/** A process that lives until it is told otherwise. */
class FakeProcess implements ProcessTable {
  alive = true
  stopped = false
  readonly signals: string[] = []
  /** Signals that end it. */
  readonly deadly = new Set(['SIGTERM', 'SIGKILL'])

  bootId(): string {
    return 'b'
  }
  list(): readonly number[] {
    return [77]
  }
  commandLine(): readonly string[] {
    return []
  }
  find(): ProcessIdentity | null {
    return this.alive ? identity : null
  }
  isAlive(): boolean {
    return this.alive
  }
  isStopped(): boolean {
    return this.alive && this.stopped
  }
  executable(): null {
    return null
  }
  usage(): null {
    return null
  }
  signal(_process: ProcessIdentity, name: 'SIGTERM' | 'SIGKILL'): boolean {
    this.signals.push(name)
    if (this.deadly.has(name)) this.alive = false
    return true
  }
}

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

interface Stage {
  readonly session: DomainSession
  readonly process: FakeProcess
  readonly facts: DriverFact[]
  /** Sends events as the monitor. */
  readonly send: (...events: readonly object[]) => void
  readonly hangUp: () => void
}

const event = (name: string, data: object = {}): object => ({
  event: name,
  data,
  timestamp: { seconds: 1, microseconds: 0 },
})

async function stage({
  script = () => undefined,
  ended = null,
}: {
  script?: FakeMonitorScript
  ended?: DomainSessionOptions['ended']
} = {}): Promise<Stage> {
  let socket: Socket | null = null
  const monitor = await FakeMonitor.listen({
    script: (command, from) => {
      socket = from
      if (command.name === 'hello') answer(from, command.id)
      else if (command.name === 'query-status') answer(from, command.id, { status: 'paused', running: false })
      else if (command.name === 'query-jobs') answer(from, command.id, [{ id: 'j', status: 'ready' }])
      else script(command, from)
    },
  })
  const process = new FakeProcess()
  const facts: DriverFact[] = []
  const session = new DomainSession({
    ...{ uuid, name: 'web', process: identity, monitorPath: monitor.path, processes: process, ended, closingMs: 50 },
    onFact: (fact) => facts.push(fact),
    onEnd: async () => undefined,
    connect: async (path, options) => await QmpClient.connect(path, options),
  })
  session.attach(await QmpClient.connect(monitor.path, session.connectOptions(signal)))
  await session.execute('hello', {}, { signal })
  cleanups.push(async () => {
    session.detach()
    await monitor[Symbol.asyncDispose]()
  })
  return {
    ...{ session, process, facts },
    send: (...events) => void socket?.write(events.map((each) => `${JSON.stringify(each)}\r\n`).join('')),
    hangUp: () => void socket?.destroy(),
  }
}

const until = async (facts: readonly DriverFact[], kind: DriverFact['kind']): Promise<DriverFact | undefined> => {
  await expect.poll(() => facts.some((fact) => fact.kind === kind), { timeout: 3_000, interval: 5 }).toBe(true)
  return facts.find((fact) => fact.kind === kind)
}

describe('DomainSession', () => {
  test('turns what QEMU reports into facts, in order, and ignores what it does not understand', async () => {
    const { facts, send } = await stage()
    send(
      event('STOP'),
      event('RESUME'),
      event('RTC_CHANGE', { offset: 1 }),
      event('JOB_STATUS_CHANGE', { id: 'j', status: 'ready' }),
      event('JOB_STATUS_CHANGE', { id: 'j', status: 'ready' }),
      event('JOB_STATUS_CHANGE', { id: 7, status: 'ready' }),
      event('JOB_STATUS_CHANGE', { id: 'j', status: 'a new one' }),
      event('RESET', { guest: true }),
    )
    await until(facts, 'reset')
    const ready = { kind: 'jobChanged', uuid, jobId: 'j', status: 'ready' }
    expect(facts).toEqual([
      { kind: 'suspended', uuid },
      { kind: 'resumed', uuid },
      ready,
      ready,
      { kind: 'reset', uuid },
    ])
  })

  test.each([
    ['a shutdown of the guest', [event('SHUTDOWN', { guest: true, reason: 'guest-shutdown' })], null, 'shutdown'],
    ['a signal to QEMU', [event('SHUTDOWN', { guest: false, reason: 'host-signal' })], null, 'killed'],
    [
      'a panic',
      [event('GUEST_PANICKED', { action: 'poweroff' }), event('SHUTDOWN', { guest: true, reason: 'guest-panic' })],
      null,
      'crashed',
    ],
    ['silence of a process that is not our child', [], null, 'crashed'],
    ['a crash of our child', [], Promise.resolve({ text: 'signal SIGSEGV', signal: 'SIGSEGV' }), 'crashed'],
    ['a kill of our child', [], Promise.resolve({ text: 'signal SIGKILL', signal: 'SIGKILL' }), 'killed'],
  ] as const)('reports the end once, after %s', async (...[, events, ended, how]) => {
    const { facts, process, send, hangUp } = await stage({ ended })
    send(...events)
    await sleep(20)
    process.alive = false
    hangUp()
    expect(await until(facts, 'ended')).toMatchObject({ how })
    await sleep(50)
    expect(facts.filter(({ kind }) => kind === 'ended')).toHaveLength(1)
  })

  test('reports a lost monitor of a living process as silence, connects again and says how things stand', async () => {
    const { facts, session, hangUp } = await stage()
    hangUp()
    await until(facts, 'monitorSilent')
    await until(facts, 'jobChanged')
    expect(facts.map(({ kind }) => kind)).toEqual(['monitorSilent', 'suspended', 'jobChanged'])
    expect(session.isSilent).toBe(false)
    await session.execute('hello', {}, { signal })
  })

  test('reports silence once until QEMU answers again', async () => {
    let mute = true
    const { facts, session } = await stage({
      script: ({ id }, socket) => {
        if (!mute) answer(socket, id)
      },
    })
    const ask = async (): Promise<unknown> => await session.execute('query-balloon', {}, { signal, timeoutMs: 20 })
    await expect(ask()).rejects.toMatchObject({ kind: 'operation_timeout' })
    await expect(ask()).rejects.toMatchObject({ kind: 'operation_timeout' })
    expect(facts.filter(({ kind }) => kind === 'monitorSilent')).toHaveLength(1)
    mute = false
    await ask()
    expect(session.isSilent).toBe(false)
    mute = true
    await expect(ask()).rejects.toThrow(/not answered within 20 ms/)
    expect(facts.filter(({ kind }) => kind === 'monitorSilent')).toHaveLength(2)
  })

  test('says nothing any more once it is detached or its process was destroyed', async () => {
    const detached = await stage()
    detached.session.detach()
    detached.process.alive = false
    const destroyed = await stage()
    destroyed.session.noteDestroy()
    destroyed.process.alive = false
    destroyed.hangUp()
    await sleep(100)
    expect([...detached.facts, ...destroyed.facts]).toEqual([])
    expect(destroyed.session.isOver).toBe(true)
  })

  test('exclusively() runs one change of the graph after the other, also after one that failed', async () => {
    const { session } = await stage()
    const order: string[] = []
    const change = async (name: string, fails = false): Promise<void> => {
      order.push(`${name} begins`)
      await sleep(10)
      order.push(`${name} ends`)
      if (fails) throw new Error(name)
    }
    const results = await Promise.allSettled([
      session.exclusively(() => change('a', true)),
      session.exclusively(() => change('b')),
    ])
    expect(order).toEqual(['a begins', 'a ends', 'b begins', 'b ends'])
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
  })
})

describe('endProcess()', () => {
  const limits = { quitMs: 60, terminateMs: 60, killMs: 60 }

  test('asks, then terminates, then kills, each for its time', async () => {
    const processes = new FakeProcess()
    processes.deadly.delete('SIGTERM')
    let asked = 0
    await endProcess({ process: identity, processes, limits, signal, quit: async () => (asked += 1) })
    expect([asked, processes.signals]).toEqual([1, ['SIGTERM', 'SIGKILL']])
  })

  test('sends no signal to one that quits, even if its answer is lost', async () => {
    const processes = new FakeProcess()
    const quit = async (): Promise<never> => {
      processes.alive = false
      throw new Error('connection closed')
    }
    await endProcess({ process: identity, processes, limits, signal, quit })
    expect(processes.signals).toEqual([])
  })

  test('kills one that stands still at once', async () => {
    const processes = new FakeProcess()
    processes.stopped = true
    const started = performance.now()
    await endProcess({
      process: identity,
      processes,
      limits: { quitMs: 5_000, terminateMs: 5_000, killMs: 60 },
      signal,
      quit: async () => undefined,
    })
    expect(processes.signals).toEqual(['SIGKILL'])
    expect(performance.now() - started).toBeLessThan(1_000)
  })

  test('says that the kernel holds one that even SIGKILL does not end', async () => {
    const processes = new FakeProcess()
    processes.deadly.clear()
    await expect(endProcess({ process: identity, processes, limits, signal, quit: null })).rejects.toThrow(
      /still there 60 ms after SIGKILL/,
    )
  })
})
