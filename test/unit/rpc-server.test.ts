import { statSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { encodeMessage, type MessageHeader } from '../../src/protocol/message.ts'
import { remoteProcedures } from '../../src/protocol/procedure-table.ts'
import { keepaliveProcedure, messageStatus, messageType, programs } from '../../src/protocol/programs.ts'
import { createDispatcher } from '../../src/rpc/all-handlers.ts'
import { RpcServer } from '../../src/rpc/rpc-server.ts'
import { nothing } from '../../src/xdr/xdr-composites.ts'
import { MemoryBackend } from '../support/memory-backend.ts'
import { startMemoryServer } from '../support/memory-server.ts'
import { RpcClient } from '../support/rpc-client.ts'
import { errorOf, gate, until } from '../support/rpc-expect.ts'

const call: MessageHeader = {
  program: programs.remote.number,
  version: 1,
  procedure: 59,
  type: messageType.call,
  serial: 0,
  status: messageStatus.ok,
}

describe('before CONNECT_OPEN', () => {
  test('AUTH_LIST and CONNECT_SUPPORTS_FEATURE are answered, others are not', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.connect(served.path)
    expect(await client.call(remoteProcedures.authList, {})).toEqual({ types: [0] })
    expect(await client.call(remoteProcedures.connectSupportsFeature, { feature: 10 })).toEqual({ supported: 1 })
    expect(await client.call(remoteProcedures.connectSupportsFeature, { feature: 99 })).toEqual({ supported: 0 })
    const notOpen = [1, 7, 'internal error: hypervisor connection not open']
    expect(await errorOf(client.call(remoteProcedures.connectGetHostname, {}))).toEqual(notOpen)
    expect(await errorOf(client.callRaw(135))).toEqual(notOpen)
  })

  test('a connection is opened once, by a URI that is served', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.connect(served.path)
    const open = (name: string) => client.call(remoteProcedures.connectOpen, { name, flags: 0 })
    expect((await errorOf(open('xen:///system')))[0]).toBe(5)
    expect((await errorOf(open('qemu:///nowhere')))[2]).toBe(
      "internal error: unexpected qemu URI path '/nowhere', try qemu:///system or qemu:///session",
    )
    await open('qemu:///system')
    expect((await errorOf(open('qemu:///system')))[2]).toContain('already open')
    expect(await client.call(remoteProcedures.connectGetHostname, {})).toEqual({ hostname: 'host.example' })
  })
})

describe('what is not served', () => {
  test('is refused by name, or as unknown, and the connection stays', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.open(served.path)
    expect(await errorOf(client.callRaw(135))).toEqual([
      3,
      20,
      'this function is not supported by the connection driver: CONNECT_DOMAIN_XML_FROM_NATIVE',
    ])
    expect((await errorOf(client.callRaw(203, Buffer.alloc(4))))[2]).toContain('CONNECT_GET_SYSINFO')
    expect(await errorOf(client.callRaw(9999))).toEqual([39, 7, 'unknown procedure: 9999'])
    expect(await errorOf(client.callRaw(318))).toEqual([39, 7, 'unknown procedure: 318'])
    expect(await errorOf(client.callRaw(1, undefined, { program: 77 }))).toEqual([
      39,
      7,
      'Cannot find program 77 version 1',
    ])
    expect(await errorOf(client.callRaw(59, undefined, { version: 2 }))).toEqual([
      39,
      7,
      `Cannot find program ${0x20008086} version 2`,
    ])
    expect(await errorOf(client.callRaw(59, undefined, { type: messageType.callWithFds }))).toEqual([
      3,
      20,
      expect.stringContaining('file descriptors'),
    ])
    expect(await errorOf(client.callRaw(59, undefined, { type: 9 }))).toEqual([39, 7, 'unexpected message type 9'])
    expect(await errorOf(client.callRaw(59, undefined, { status: 1 }))).toEqual([39, 7, 'unexpected message status 1'])
    expect(await client.call(remoteProcedures.connectGetHostname, {})).toEqual({ hostname: 'host.example' })
  })

  test.each([
    ['too short', 22, ''],
    ['too long', 22, '0000000100000002'],
    ['an array of 2^30', 344, '40000000'],
    ['a string over the limit', 23, '00400001'],
  ])('a payload that is %s cannot be decoded', async (_name, procedure, payload) => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.open(served.path)
    expect(await errorOf(client.callRaw(procedure, Buffer.from(payload, 'hex')))).toEqual([
      39,
      7,
      'Unable to decode message payload',
    ])
    expect(await client.call(remoteProcedures.connectGetHostname, {})).toEqual({ hostname: 'host.example' })
  })
})

describe('frames', () => {
  test.each([0, 3, 27, 32 * 1024 * 1024 + 5, 2 ** 32 - 1])(
    'of length %i close their connection and no other',
    async (length) => {
      await using served = await startMemoryServer()
      await using other = await RpcClient.open(served.path)
      await using client = await RpcClient.open(served.path)
      const word = Buffer.alloc(4)
      word.writeUInt32BE(length)
      client.write(word)
      await client.closed()
      await until(() => served.lost.length > 0)
      expect(served.lost).toEqual([expect.stringContaining(`${length} bytes`)])
      expect(await other.call(remoteProcedures.connectGetHostname, {})).toEqual({ hostname: 'host.example' })
    },
  )

  test('that arrive byte by byte, or many at once, are answered', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.open(served.path)
    const frames = Array.from({ length: 50 }, (_, serial) =>
      encodeMessage({ ...call, serial: 1000 + serial }, nothing, {}),
    )
    const replies = frames.map((_, serial) => client.send(Buffer.alloc(0), 1000 + serial))
    for (const byte of frames[0] ?? []) {
      client.write(Buffer.from([byte]))
      await new Promise((resolve) => setImmediate(resolve))
    }
    client.write(Buffer.concat(frames.slice(1)))
    expect((await Promise.all(replies)).length).toBe(50)
  })

  test('of stream data nobody asked for are dropped', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.open(served.path)
    client.write(
      encodeMessage({ ...call, serial: 5, type: messageType.stream, status: messageStatus.continue }, nothing, {}),
    )
    expect(await client.call(remoteProcedures.connectGetHostname, {})).toEqual({ hostname: 'host.example' })
    expect(client.strays).toEqual([])
  })
})

describe('replies', () => {
  test('that quote a name of 4 MiB still fit', async () => {
    await using served = await startMemoryServer()
    await using client = await RpcClient.open(served.path)
    const name = 'x'.repeat(4 * 1024 * 1024)
    const [code, , message] = await errorOf(client.call(remoteProcedures.domainLookupByName, { name }))
    expect(code).toBe(42)
    expect(message?.length).toBeLessThan(17_000)
    expect(await client.call(remoteProcedures.connectGetHostname, {})).toEqual({ hostname: 'host.example' })
  })

  test('that are over a limit of the protocol become an error of the daemon', async () => {
    await using served = await startMemoryServer()
    const { uuid, name } = served.memory.add('web')
    served.memory.xmlSuffix = ' '.repeat(4 * 1024 * 1024)
    await using client = await RpcClient.open(served.path)
    const domain = { uuid, name, id: -1 }
    expect((await errorOf(client.call(remoteProcedures.domainGetXmlDesc, { domain, flags: 0 })))[0]).toBe(1)
    expect(served.internalErrors.length).toBe(1)
  })
})

describe('calls in flight', () => {
  test('are answered out of order, and pings during a long one', async () => {
    await using served = await startMemoryServer()
    const { uuid, name } = served.memory.add('web')
    await using client = await RpcClient.open(served.path)
    const held = gate()
    served.memory.gate = held.passed
    let done = false
    const start = client
      .call(remoteProcedures.domainCreate, { domain: { uuid, name, id: -1 } })
      .then(() => (done = true))
    client.ping()
    expect(await client.call(remoteProcedures.connectGetHostname, {})).toEqual({ hostname: 'host.example' })
    await until(() => client.keepalives.includes(keepaliveProcedure.pong))
    expect(done).toBe(false)
    held.open()
    await start
  })

  test('over the limit wait their turn and are all answered; pings do not wait', async () => {
    await using served = await startMemoryServer({ maxCallsInFlight: 2, maxCallsWaiting: 3 })
    const { uuid, name } = served.memory.add('web', { id: 1, state: 'running' })
    await using client = await RpcClient.open(served.path)
    const held = gate()
    served.memory.gate = held.passed
    const calls = Array.from({ length: 4 }, () =>
      client.call(remoteProcedures.domainSuspend, { domain: { uuid, name, id: 1 } }),
    )
    client.ping()
    await until(() => client.keepalives.length === 1)
    expect(served.memory.callers.length).toBe(2)
    held.open()
    await Promise.all(calls)
    expect(served.memory.callers.length).toBe(4)
  })

  test('are answered after the client stopped sending', async () => {
    await using served = await startMemoryServer()
    const { uuid, name } = served.memory.add('web')
    await using client = await RpcClient.open(served.path)
    const held = gate()
    served.memory.gate = held.passed
    const start = client.call(remoteProcedures.domainCreate, { domain: { uuid, name, id: -1 } })
    client.halfClose()
    setTimeout(held.open, 30)
    await start
    await client.closed()
    await until(() => served.server.connectionCount === 0)
  })
})

describe('keepalive', () => {
  const quick = { keepaliveIntervalMs: 50, keepaliveCount: 3 }

  test('pings a silent client that asked for it, and keeps it while it answers', async () => {
    await using served = await startMemoryServer(quick)
    await using client = await RpcClient.open(served.path)
    await client.call(remoteProcedures.connectSupportsFeature, { feature: 10 })
    await until(() => client.keepalives.filter((one) => one === keepaliveProcedure.ping).length >= 6)
    expect(await client.call(remoteProcedures.connectGetHostname, {})).toEqual({ hostname: 'host.example' })
  })

  test('closes a client that stopped answering', async () => {
    await using served = await startMemoryServer(quick)
    await using client = await RpcClient.open(served.path)
    await client.call(remoteProcedures.connectSupportsFeature, { feature: 10 })
    client.answersPings = false
    await client.closed()
    expect(client.keepalives.length).toBe(3)
    await until(() => served.lost.length > 0)
    expect(served.lost).toEqual(['the client answered none of 3 pings'])
  })

  test('leaves a client alone that never asked', async () => {
    await using served = await startMemoryServer({ keepaliveIntervalMs: 20, keepaliveCount: 1 })
    await using client = await RpcClient.open(served.path)
    await new Promise((resolve) => setTimeout(resolve, 150))
    expect(client.keepalives).toEqual([])
    expect(await client.call(remoteProcedures.connectGetHostname, {})).toEqual({ hostname: 'host.example' })
  })
})

describe('limits', () => {
  test('a client that does not read is closed, others are served', async () => {
    await using served = await startMemoryServer({ sendHighWaterBytes: 1000, maxUnsentBytes: 400_000 })
    const { uuid, name } = served.memory.add('web')
    await using client = await RpcClient.open(served.path)
    await client.call(remoteProcedures.connectDomainEventCallbackRegisterAny, { eventId: 0, domain: null })
    await using other = await RpcClient.open(served.path)
    client.pause()
    for (let index = 0; index < 20_000 && served.lost.length === 0; index++) {
      served.server.publish({ kind: 'lifecycle', domain: { uuid, name, id: -1 }, event: 0, detail: 0 })
      if (index % 1000 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await until(() => served.lost.length === 1)
    expect(served.lost[0]).toContain('unread')
    expect(await other.call(remoteProcedures.connectGetHostname, {})).toEqual({ hostname: 'host.example' })
  })

  test('one connection too many is closed at once', async () => {
    await using served = await startMemoryServer({ maxConnections: 1 })
    await using first = await RpcClient.open(served.path)
    await using second = await RpcClient.connect(served.path)
    await second.closed()
    expect(await first.call(remoteProcedures.connectGetHostname, {})).toEqual({ hostname: 'host.example' })
  })
})

describe('rights', () => {
  test('a read-only socket or flag refuses changes before their arguments are read', async () => {
    await using served = await startMemoryServer()
    const forbidden = [29, 20, 'operation forbidden: read only access prevents DOMAIN_DESTROY']
    await using bySocket = await RpcClient.open(served.readOnlyPath)
    expect(await errorOf(bySocket.callRaw(12))).toEqual(forbidden)
    await using byFlag = await RpcClient.open(served.path, 'qemu:///system', 1)
    expect(await errorOf(byFlag.callRaw(12))).toEqual(forbidden)
    expect(await byFlag.call(remoteProcedures.connectNumOfDomains, {})).toEqual({ count: 0 })
    expect(served.memory.callers).toEqual([])
  })

  test('passwords are not printed on a read-only connection', async () => {
    await using served = await startMemoryServer()
    const { uuid, name } = served.memory.add('web')
    await using client = await RpcClient.open(served.readOnlyPath)
    const domain = { uuid, name, id: -1 }
    expect((await errorOf(client.call(remoteProcedures.domainGetXmlDesc, { domain, flags: 1 })))[0]).toBe(29)
    expect((await client.call(remoteProcedures.domainGetXmlDesc, { domain, flags: 2 })).xml).toContain(
      '<name>web</name>',
    )
  })

  test('every change knows who asked, by what, and why', async () => {
    await using served = await startMemoryServer()
    const { uuid, name } = served.memory.add('web')
    await using client = await RpcClient.open(served.path, 'qemu:///system?reason=CHG%201&on-ready=pivot')
    await client.call(remoteProcedures.domainCreate, { domain: { uuid, name, id: -1 } })
    expect(served.memory.callers).toEqual([
      {
        actor: {
          uid: process.getuid?.(),
          gid: process.getgid?.(),
          pid: process.pid,
          program: process.execPath,
          address: served.path,
          authentication: 'peer',
        },
        procedure: 'DOMAIN_CREATE',
        reason: 'CHG 1',
        onReady: 'pivot',
      },
    ])
  })
})

describe('RpcServer.listen()', () => {
  test('makes sockets with their permissions', async () => {
    await using served = await startMemoryServer()
    expect(statSync(served.path).mode & 0o777).toBe(0o770)
    expect(statSync(served.readOnlyPath).mode & 0o777).toBe(0o777)
  })

  function serverAt(path: string): RpcServer {
    const log = { internalError: () => {}, connectionLost: () => {} }
    const sockets = [{ path, readOnly: false, mode: 0o700 }]
    return new RpcServer({ backend: new MemoryBackend().backend(), dispatcher: createDispatcher(), sockets, log })
  }

  test('leaves a socket alone that somebody answers on', async () => {
    await using served = await startMemoryServer()
    await expect(serverAt(served.path).listen()).rejects.toThrow('another process answers there')
    await using client = await RpcClient.open(served.path)
    expect(await client.call(remoteProcedures.connectGetHostname, {})).toEqual({ hostname: 'host.example' })
  })

  test('leaves a file alone that is no socket', async () => {
    await using served = await startMemoryServer()
    const path = `${served.path}-file`
    writeFileSync(path, 'precious')
    await expect(serverAt(path).listen()).rejects.toThrow('is not a socket')
    expect(statSync(path).size).toBe(8)
  })

  test('names a path that is too long for a socket', async () => {
    await expect(serverAt(`/tmp/${'x'.repeat(120)}`).listen()).rejects.toThrow("has 125 bytes, a socket's may have 107")
  })
})
