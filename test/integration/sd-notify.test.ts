import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, describe, expect, test } from 'vitest'
import { sdNotify } from '../../src/cli/sd-notify.ts'

const directory = mkdtempSync(join(tmpdir(), 'cv-notify-'))
const receivers: ChildProcess[] = []
afterAll(() => {
  for (const receiver of receivers) receiver.kill('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
})

/** A service manager's socket: prints each datagram as one JSON line. */
const RECEIVER = `
import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1].replace('@', '\\0', 1))
print('bound', flush=True)
while True:
    print(json.dumps(s.recv(4096).decode()), flush=True)
`

async function receive(path: string): Promise<() => Promise<string>> {
  const receiver = spawn('python3', ['-c', RECEIVER, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  receivers.push(receiver)
  const lines = createInterface({ input: receiver.stdout })[Symbol.asyncIterator]()
  await lines.next()
  return async () => JSON.parse(String((await lines.next()).value))
}

describe('sdNotify()', () => {
  test.each([
    { kind: 'a path', path: join(directory, 'notify') },
    { kind: 'an abstract name', path: `@cv-notify-${process.pid}` },
  ])('sends READY, the status and the process number to $kind', async ({ path }) => {
    const next = await receive(path)
    const first = next()
    expect(sdNotify({ ready: true, status: '3 domains,\nall well' }, path)).toBe(true)
    expect(await first).toBe(`READY=1\nSTATUS=3 domains, all well\nMAINPID=${process.pid}`)
    const second = next()
    expect(sdNotify({ stopping: true }, path)).toBe(true)
    expect(await second).toBe(`STOPPING=1\nMAINPID=${process.pid}`)
  })

  test('does nothing, and says so, without a service manager or with one that is gone', () => {
    expect(sdNotify({ ready: true }, '')).toBe(false)
    expect(sdNotify({ ready: true }, 'relative')).toBe(false)
    expect(sdNotify({ ready: true }, join(directory, 'nobody'))).toBe(false)
    expect(sdNotify({ ready: true }, `/${'x'.repeat(120)}`)).toBe(false)
  })
})
