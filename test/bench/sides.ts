import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemPython } from '../../src/cli/setup-packages.ts'
import { capture } from '../support/capture.ts'
import { processesNaming } from '../support/end-processes.ts'
import { type PeerLibvirtd, startPeerLibvirtd, wrapperTimeMs } from '../support/peer-libvirtd.ts'
import { type RunningDaemon, startDaemon } from '../support/running-daemon.ts'

const clientsProgram = fileURLToPath(new URL('clients.py', import.meta.url))
const clientLimitMs = 120_000

/** A daemon under measure. */
export interface Side extends AsyncDisposable {
  readonly name: 'ours' | 'peer'
  uri(): string
  start(): Promise<void>
  stop(): Promise<void>
  /** Has a running daemon, or its next start, know nothing of any emulator. */
  forget(): Promise<void>
  /** Files of libvirtd's that hold what emulators answered, each with its inode: asked again, it is another file. */
  cacheFiles?(): readonly string[]
  /** The daemon and what works for it, such as its database. */
  pids(): readonly number[]
  /** Milliseconds of a start that belong to what it was wrapped in. */
  readonly wrapperMs: number
}

/** Our daemon, started. */
export async function ourSide(nodeFlags: readonly string[] = []): Promise<Side> {
  const daemon = await startDaemon({ driver: 'qemu', flags: ['--log-level', 'warn'], nodeFlags })
  return {
    name: 'ours',
    wrapperMs: 0,
    uri: () => daemon.uri(),
    start: async () => await daemon.start(),
    stop: async () => void (await daemon.stop()),
    forget: async () => {
      const { status, err } = await daemon.cli('caps', 'forget', '--all')
      if (status !== 0) throw new Error(`Cannot forget the capabilities: ${err}`)
    },
    pids: () => withDatabase(daemon),
    [Symbol.asyncDispose]: async () => await daemon[Symbol.asyncDispose](),
  }
}

/** A private libvirtd, started, on one CPU unless told: moved to another it throws its cache away on virtual machines. */
export async function peerSide({ pinned = true }: { readonly pinned?: boolean } = {}): Promise<Side> {
  const peer: PeerLibvirtd = await startPeerLibvirtd(pinned ? { cpu: 0 } : {})
  const wrapperMs = await wrapperTimeMs(peer.directory)
  const cache = join(peer.directory, 'cache/qemu/capabilities')
  return {
    name: 'peer',
    wrapperMs,
    uri: () => peer.uri(),
    start: async () => await peer.start(),
    stop: async () => await peer.stop(),
    forget: async () => {
      await rm(cache, { recursive: true, force: true })
    },
    cacheFiles: () => readdirSync(cache).map((name) => `${name} ${statSync(join(cache, name)).ino}`),
    pids: () => [peer.pid()],
    [Symbol.asyncDispose]: async () => await peer[Symbol.asyncDispose](),
  }
}

/** Runs the clients' program; gives what it printed. Throws where it fails. */
export async function clients(...words: readonly string[]): Promise<string> {
  const { status, out, err } = await capture(systemPython, [clientsProgram, ...words], { timeoutMs: clientLimitMs })
  if (status !== 0) throw new Error(`Cannot run clients.py ${words.join(' ')}: ${err.trim()}`)
  return out
}

/** Starts a stopped side and gives the milliseconds from then until a client that was waiting had an answer: the list of domains unless told. */
export async function timeStart(side: Side, call = 'list'): Promise<number> {
  const uri = side.uri()
  const waiter = spawn(systemPython, [clientsProgram, 'wait', uri, call], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: string[] = []
  const { promise: ready, resolve: isReady } = Promise.withResolvers<void>()
  waiter.stdout.setEncoding('utf8').on('data', (text: string) => {
    lines.push(...text.split('\n').filter((line) => line !== ''))
    isReady()
  })
  const ended = new Promise<void>((resolve) => waiter.once('close', () => resolve()))
  await ready
  // Both ends read the same clock.
  const startedNs = process.hrtime.bigint()
  await side.start()
  await ended
  const answeredNs = BigInt(lines[1] ?? '0')
  return Number(answeredNs - startedNs) / 1e6 - side.wrapperMs
}

function withDatabase(daemon: RunningDaemon): readonly number[] {
  const pid = daemon.pid()
  const masters = processesNaming(daemon.directory).filter((one) => one !== pid)
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
  const children = all.filter((one) => masters.includes(parentOf(one)))
  return [pid, ...masters, ...children]
}

function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return 0
  }
}
