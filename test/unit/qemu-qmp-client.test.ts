import { describe, expect, test } from 'vitest'
import { QmpClient, type QmpLimits } from '../../src/qemu/qmp-client.ts'
import { QmpError } from '../../src/qemu/qmp-error.ts'
import type { QmpEvent } from '../../src/qemu/qmp-message.ts'
import { Fault } from '../../src/util/fault.ts'
import { answer, FakeMonitor, type FakeMonitorScript, fakeGreeting } from '../support/fake-monitor.ts'

const signal = new AbortController().signal
const silent: FakeMonitorScript = () => undefined

async function connected(
  script: FakeMonitorScript,
  { limits, events = [] }: { readonly limits?: Partial<QmpLimits>; readonly events?: QmpEvent[] } = {},
): Promise<AsyncDisposable & { readonly client: QmpClient }> {
  const monitor = await FakeMonitor.listen({ script })
  const client = await QmpClient.connect(monitor.path, {
    signal,
    ...(limits === undefined ? {} : { limits }),
    onEvent: (event) => events.push(event),
  })
  return {
    client,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]()
      await monitor[Symbol.asyncDispose]()
    },
  }
}

describe('QmpClient.connect()', () => {
  test.each([
    ['garbage instead of a greeting', 'SSH-2.0-OpenSSH\r\n', /not a QMP message/],
    ['an unfinished greeting', '{"QMP": {"version"', /no greeting within 100 ms/],
    ['no greeting at all', '', /no greeting within 100 ms/],
    ['a greeting of another shape', '{"QMP": []}\r\n', /not a QMP message/],
    ['a message without end', 'x'.repeat(4096), /more than 2048 bytes/],
  ])('ends in a clear fault on %s', async (_what, greeting, message) => {
    await using monitor = await FakeMonitor.listen({ greeting, script: silent })
    const limits = { greetingTimeoutMs: 100, maxLineBytes: 2048 }
    await expect(QmpClient.connect(monitor.path, { signal, limits })).rejects.toThrow(message)
  })

  test('names the path when nobody listens there', async () => {
    await expect(QmpClient.connect('/nonexistent/qmp.sock', { signal })).rejects.toThrow(
      /"\/nonexistent\/qmp.sock".*ENOENT/,
    )
  })

  test('refuses a path that the kernel would cut off', async () => {
    await expect(QmpClient.connect(`/${'a'.repeat(107)}`, { signal })).rejects.toThrow(/108 bytes long, at most 107/)
  })

  test('ends at once when its caller gives up', async () => {
    await using monitor = await FakeMonitor.listen({ greeting: '', script: silent })
    const abort = AbortSignal.timeout(30)
    await expect(QmpClient.connect(monitor.path, { signal: abort })).rejects.toMatchObject({
      kind: 'operation_timeout',
    })
  })
})

describe('QmpClient.execute()', () => {
  test('matches answers that come in another order than the commands', async () => {
    const waiting: string[] = []
    await using session = await connected(({ name, id }, socket) => {
      waiting.push(id)
      if (name !== 'second') return
      answer(socket, waiting[1] ?? '', 'of the second')
      answer(socket, waiting[0] ?? '', 'of the first')
    })
    const first = session.client.execute('first', {}, { signal })
    const second = session.client.execute('second', {}, { signal })
    expect(await Promise.all([first, second])).toEqual(['of the first', 'of the second'])
  })

  test('throws what QEMU says, with the class of the error', async () => {
    await using session = await connected(({ id }, socket) => {
      socket.write(`${JSON.stringify({ id, error: { class: 'DeviceNotFound', desc: "Device 'x' not found" } })}\r\n`)
    })
    const refused = session.client.execute('device_del', { id: 'x' }, { signal })
    await expect(refused).rejects.toBeInstanceOf(QmpError)
    await expect(refused).rejects.toMatchObject({
      kind: 'operation_failed',
      errorClass: 'DeviceNotFound',
      command: 'device_del',
    })
  })

  test('gives up after its limit and drops the late answer', async () => {
    await using session = await connected(({ name, id }, socket) => {
      setTimeout(() => answer(socket, id, name), name === 'slow' ? 80 : 0)
    })
    const { client } = session
    await expect(client.execute('slow', {}, { signal, timeoutMs: 20 })).rejects.toMatchObject({
      kind: 'operation_timeout',
    })
    expect(client.pendingCount).toBe(1)
    await new Promise((resolve) => setTimeout(resolve, 120))
    expect(client.pendingCount).toBe(0)
    expect(await client.execute('quick', {}, { signal })).toBe('quick')
  })

  test('throws the reason of the signal', async () => {
    await using session = await connected(silent)
    const controller = new AbortController()
    const running = session.client.execute('query-status', {}, { signal: controller.signal })
    const reason = new Fault('operation_aborted', 'Cannot wait: the daemon stops')
    controller.abort(reason)
    await expect(running).rejects.toBe(reason)
  })

  test('sends no more commands than may be unanswered', async () => {
    await using session = await connected(silent, { limits: { maxPending: 2, commandTimeoutMs: 50 } })
    const { client } = session
    const both = Promise.allSettled([client.execute('a', {}, { signal }), client.execute('b', {}, { signal })])
    await expect(client.execute('c', {}, { signal })).rejects.toThrow(/2 commands are not answered yet/)
    expect((await both).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await expect(client.execute('d', {}, { signal })).rejects.toThrow(/2 commands are not answered yet/)
  })

  test.each([
    ['an answer that nobody asked for', '{"return": {}, "id": "libvirt-1"}\r\n', /answers nothing that was asked/],
    [
      'an answer without an id',
      '{"error": {"class": "GenericError", "desc": "JSON parse error"}}\r\n',
      /JSON parse error/,
    ],
    ['garbage', '\u0000\u0001\u0002\r\n', /not a QMP message/],
    ['JSON that is no message', '[1, 2]\r\n', /not a QMP message/],
    ['an event without a time', '{"event": "STOP"}\r\n', /not a QMP message/],
    ['a half line and the end', '{"return": ', /in the middle of a message/],
    ['the end', '', /closed the connection/],
  ])('fails for all waiting commands on %s', async (_what, text, message) => {
    await using session = await connected((_command, socket) => {
      if (text.endsWith('\n')) socket.write(text)
      else socket.end(text)
    })
    const running = session.client.execute('query-status', {}, { signal })
    await expect(running).rejects.toThrow(message)
    await expect(session.client.execute('again', {}, { signal })).rejects.toThrow(message)
    expect((await session.client.closed)?.message).toMatch(message)
  })
})

describe('QmpClient events', () => {
  test('come in their order and before the answer behind them', async () => {
    const events: QmpEvent[] = []
    await using session = await connected(
      ({ id }, socket) => {
        const lines = Array.from({ length: 1000 }, (_, n) =>
          JSON.stringify({ event: 'JOB_STATUS_CHANGE', data: { n }, timestamp: { seconds: 2, microseconds: 5000 } }),
        )
        socket.write(`${lines.join('\r\n')}\r\n`)
        answer(socket, id)
      },
      { events },
    )
    await session.client.execute('flood', {}, { signal })
    expect(events).toHaveLength(1000)
    expect(events[999]).toEqual({ name: 'JOB_STATUS_CHANGE', data: { n: 999 }, atMs: 2005 })
  })

  test('do not need a reader: closing says null as the reason', async () => {
    await using monitor = await FakeMonitor.listen({ greeting: fakeGreeting, script: silent })
    const client = await QmpClient.connect(monitor.path, { signal })
    client.close()
    expect(await client.closed).toBeNull()
    expect(client.isOpen).toBe(false)
  })
})
