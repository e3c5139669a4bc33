import { spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  closeSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findCommand } from '../../src/cli/is-package-present.ts'
import { systemPython } from '../../src/cli/setup-packages.ts'
import { capture } from './capture.ts'
import { endProcess, processesNaming } from './end-processes.ts'
import { waitForSocket } from './wait-for-socket.ts'

const subreaper = fileURLToPath(new URL('subreaper.py', import.meta.url))

/** Directories that libvirtd has compiled in, and the one of the private directory that each is replaced by. */
const replaced = [
  ['etc', '/etc/libvirt'],
  ['lib', '/var/lib/libvirt'],
  ['cache', '/var/cache/libvirt'],
  ['run', '/run/libvirt'],
  ['log', '/var/log/libvirt'],
] as const

// $1 is the private directory; the mounts are seen by this process and what it starts alone.
const enterScript = [
  'private=$1; shift',
  `mkdir -p ${replaced.map(([, place]) => place).join(' ')}`,
  ...replaced.map(([name, place]) => `mount --bind "$private/${name}" ${place} || exit 97`),
  'exec "$@"',
].join('\n')

const libvirtdSettings = (directory: string): string => `unix_sock_dir = "${directory}/sock"
unix_sock_group = "root"
unix_sock_ro_perms = "0777"
unix_sock_rw_perms = "0770"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_level = 3
log_outputs = "3:file:${directory}/log/libvirtd.log"
`

const qemuSettings = `user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
stdio_handler = "file"
`

/** Why there is no libvirtd to compare with, or null. */
export function whyNoPeer(): string | null {
  if (findCommand('libvirtd', process.env['PATH'] ?? '') === null) return 'libvirtd is not installed'
  if (findCommand('unshare', process.env['PATH'] ?? '') === null) return 'unshare is not installed'
  return process.getuid?.() === 0 ? null : 'a private libvirtd needs root'
}

/** Debian's libvirtd with every file of its state private. */
export interface PeerLibvirtd extends AsyncDisposable {
  readonly directory: string
  readonly socketPath: string
  /** A URI with parameters of the caller's, such as "mode=direct". */
  uri(parameters?: string): string
  /** Of the daemon itself, not of what it was started through. */
  pid(): number
  /** Starts it, and waits until it accepts connections. */
  start(): Promise<void>
  /** Stops the daemon; its guests go on. */
  stop(): Promise<void>
}

/**
 * Prepares a libvirtd in a directory and a mount namespace of its own, on one CPU if `cpu` is given (it throws its cache away
 * where another CPU of a virtual machine reports itself differently), and starts it. Disposing ends it, its guests, and its files.
 */
export async function startPeerLibvirtd(options: { readonly cpu?: number } = {}): Promise<PeerLibvirtd> {
  const directory = mkdtempSync(join(tmpdir(), 'peer-'))
  chmodSync(directory, 0o755)
  prepare(directory)
  const peer = new Peer(directory, options.cpu ?? null)
  try {
    await peer.start()
    return peer
  } catch (error) {
    await peer[Symbol.asyncDispose]()
    throw error
  }
}

function prepare(directory: string): void {
  const below = 'etc/qemu/networks/autostart etc/qemu/autostart etc/nwfilter etc/hooks etc/storage etc/secrets'
  const guests = 'lib/qemu lib/images lib/boot lib/dnsmasq cache/qemu log/qemu run sock'
  for (const name of `${below} ${guests}`.split(' ')) mkdirSync(join(directory, name), { recursive: true })
  writeFileSync(join(directory, 'etc/libvirtd.conf'), libvirtdSettings(directory))
  writeFileSync(join(directory, 'etc/qemu.conf'), qemuSettings)
}

/** A command in the private mount namespace of a directory, on one CPU where one is given, its orphans reaped at once. */
function wrapped(directory: string, command: readonly string[], cpu: number | null): readonly string[] {
  const pinned = cpu === null ? [] : ['taskset', '-c', String(cpu)]
  const privately = ['unshare', '-m', '--propagation', 'private', '/bin/sh', '-c', enterScript, 'sh', directory]
  return [systemPython, subreaper, ...pinned, ...privately, ...command]
}

/** Programs of the system's administrator are found too. */
function environment(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` }
}

/** Milliseconds that a start of the peer spends on getting where it runs: median of five runs of a command that does nothing. */
export async function wrapperTimeMs(directory: string): Promise<number> {
  const times: number[] = []
  for (let run = 0; run < 5; run += 1) {
    const [command = '', ...args] = wrapped(directory, ['true'], 0)
    const startedMs = performance.now()
    await capture(command, args)
    times.push(performance.now() - startedMs)
  }
  return times.toSorted((a, b) => a - b)[2] ?? 0
}

class Peer implements PeerLibvirtd {
  readonly directory: string
  readonly socketPath: string
  readonly #cpu: number | null

  constructor(directory: string, cpu: number | null) {
    this.directory = directory
    this.socketPath = join(directory, 'sock', 'libvirt-sock')
    this.#cpu = cpu
  }

  uri(parameters = ''): string {
    return `qemu+unix:///system?socket=${this.socketPath}${parameters === '' ? '' : `&${parameters}`}`
  }

  pid(): number {
    return Number(readFileSync(join(this.directory, 'libvirtd.pid'), 'utf8'))
  }

  async start(): Promise<void> {
    rmSync(this.socketPath, { force: true })
    const settings = join(this.directory, 'etc/libvirtd.conf')
    const daemon = ['libvirtd', '-f', settings, '-p', join(this.directory, 'libvirtd.pid')]
    const words = wrapped(this.directory, daemon, this.#cpu)
    const log = openSync(join(this.directory, 'log', 'output.log'), 'a')
    const [command = '', ...args] = words
    const child = spawn(command, args, { stdio: ['ignore', log, log], detached: true, env: environment() })
    closeSync(log)
    child.unref()
    const failed = new Promise<never>((_, reject) => {
      child.on('error', reject)
      child.on('exit', (status) =>
        reject(new Error(`Cannot start libvirtd: it ended with status ${status}\n${this.#output()}`)),
      )
    })
    failed.catch(() => {})
    await Promise.race([waitForSocket(this.socketPath, 20_000), failed])
    child.removeAllListeners()
  }

  async stop(): Promise<void> {
    await endProcess(this.pid(), 10_000)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Daemon and guests alike have the directory on their command lines; the process that waits for them ends by itself.
    for (const pid of processesNaming(this.directory)) await endProcess(pid)
    rmSync(this.directory, { recursive: true, force: true })
  }

  #output(): string {
    const file = join(this.directory, 'log', 'output.log')
    return existsSync(file) ? readFileSync(file, 'utf8').slice(-2_000) : ''
  }
}
