import { statSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Commit, CommitListener } from '../../src/eventstore/event-store-options.ts'
import { LogFeed } from '../../src/eventstore/log-feed.ts'
import { LogFeedClient } from '../../src/eventstore/log-feed-client.ts'
import type { LogHead } from '../../src/eventstore/recorded-event.ts'

let directory: string
let path: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'feed-'))
  path = join(directory, 'log-feed.sock')
})
afterEach(async () => await rm(directory, { recursive: true }))

/** A log of which only commits are heard. */
class HeardLog {
  readonly head: LogHead = { commitNo: 4n, position: 9n, recordedAtUs: 5n, epoch: 1, root: Buffer.alloc(32) }
  readonly listeners = new Set<CommitListener>()

  afterCommit(listener: CommitListener): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  commit(number: number): void {
    const commit: Commit = { commitNo: BigInt(number), recordedAtUs: BigInt(number) * 10n, events: [] }
    for (const listener of this.listeners) listener(commit)
  }
}

async function opened(): Promise<Socket> {
  const socket = connect(path)
  await new Promise((resolve) => socket.once('connect', resolve))
  return socket
}

/** Reads until there are so many bytes. */
async function bytesOf(socket: Socket, count: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    chunks.push(chunk)
    if (Buffer.concat(chunks).length >= count) break
  }
  return Buffer.concat(chunks)
}

describe('LogFeed', () => {
  test('greets, says where the log ends, and tells of each commit', async () => {
    const log = new HeardLog()
    await using feed = await LogFeed.serve({ path, mode: 0o600, log })
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const socket = await opened()
    const first = await bytesOf(socket, 32)
    expect(first.subarray(0, 8).toString()).toBe('cvfeed1\n')
    expect([8, 16, 24].map((at) => first.readBigInt64BE(at))).toEqual([9n, 4n, 5n])
    log.commit(5)
    const next = await bytesOf(socket, 24)
    expect([0, 8, 16].map((at) => next.readBigInt64BE(at))).toEqual([9n, 5n, 50n])
    expect(feed.readers).toBe(1)
    socket.destroy()
    await expect.poll(() => feed.readers).toBe(0)
  })

  test('tells a slow reader of the newest commit only', async () => {
    const log = new HeardLog()
    await using feed = await LogFeed.serve({ path, mode: 0o600, log })
    const slow = await opened()
    slow.pause()
    await expect.poll(() => feed.readers).toBe(1)
    for (let number = 5; number <= 100_000; number += 1) log.commit(number)
    let last = 0n
    let bytes = 0
    let rest = Buffer.alloc(0)
    slow.on('data', (chunk) => {
      bytes += chunk.length
      rest = Buffer.concat([rest, chunk])
      const end = 8 + Math.floor((bytes - 8) / 24) * 24
      const frame = rest.subarray(rest.length - (bytes - end) - 24)
      if (frame.length >= 24) last = frame.readBigInt64BE(8)
      rest = rest.subarray(-48)
    })
    slow.resume()
    await expect.poll(() => last).toBe(100_000n)
    expect(bytes).toBeLessThan(1_000_000) // of the 2.4 MB that all of them are
    slow.destroy()
  })

  test('lets go of who says something, and takes no more than 64 readers', async () => {
    const log = new HeardLog()
    await using feed = await LogFeed.serve({ path, mode: 0o600, log })
    const talker = await opened()
    talker.on('error', () => undefined)
    talker.resume().write('hello')
    await new Promise((resolve) => talker.once('close', resolve))
    const readers = await Promise.all(Array.from({ length: 70 }, opened))
    for (const reader of readers) reader.on('error', () => undefined).resume()
    await expect.poll(() => readers.filter((reader) => reader.closed).length).toBe(6)
    expect(feed.readers).toBe(64)
    for (const reader of readers) reader.destroy()
  })

  test('takes the place of a dead one, but not of one that is alive, nor of a file', async () => {
    const log = new HeardLog()
    {
      await using first = await LogFeed.serve({ path, mode: 0o660, log })
      await expect(LogFeed.serve({ path, mode: 0o660, log })).rejects.toThrow('another process answers there')
      await expect.poll(() => first.readers).toBe(0)
    }
    expect(log.listeners.size).toBe(0)
    await writeFile(path, 'mine')
    await expect(LogFeed.serve({ path, mode: 0o660, log })).rejects.toThrow('it exists and is not a socket')
    await expect(LogFeed.serve({ path: `${path}${'x'.repeat(120)}`, mode: 0o660, log })).rejects.toThrow('107 bytes')
  })
})

describe('LogFeedClient', () => {
  test('connects again when the feed comes back, and says whether hints are coming', async () => {
    const log = new HeardLog()
    const client = new LogFeedClient(path)
    let hints = 0
    client.start(() => {
      hints += 1
    })
    expect(client.areComing).toBe(false)
    for (let round = 0; round < 2; round += 1) {
      await using feed = await LogFeed.serve({ path, mode: 0o600, log })
      await expect.poll(() => feed.readers, { timeout: 5_000 }).toBe(1)
      await expect.poll(() => client.areComing).toBe(true)
      const before = hints
      log.commit(5 + round)
      await expect.poll(() => hints).toBeGreaterThan(before)
    }
    await expect.poll(() => client.areComing).toBe(false)
    client.stop()
  })
})
