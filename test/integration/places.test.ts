import { type ChildProcess, spawn } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Captured, capture } from '../support/capture.ts'
import { endProcess, processesNaming } from '../support/end-processes.ts'
import { killPostgres } from '../support/fault-actions.ts'
import { copyGuestDisk, eventually, guestXml } from '../support/fault-lane.ts'
import { projectRoot } from '../support/project-files.ts'
import { requireTool } from '../support/require-tool.ts'
import { waitForSocket } from '../support/wait-for-socket.ts'

const canRun = requireTool('qemu-system-x86') && requireTool('qemu-utils') && requireTool('libvirt-clients')
const isRoot = process.getuid?.() === 0

/** A daemon of any checkout with its state anywhere; ends with everything that it started. */
class PlacedDaemon implements AsyncDisposable {
  readonly directory: string
  readonly socket: string
  readonly stateDir: string
  readonly #child: ChildProcess
  readonly #log: string

  constructor(checkout: string, options: { readonly stateDir?: string } = {}) {
    this.directory = mkdtempSync(join(tmpdir(), 'cvp-'))
    chmodSync(this.directory, 0o755)
    this.#log = join(this.directory, 'log')
    this.stateDir = options.stateDir ?? join(this.directory, 'state')
    this.socket = join(this.directory, 'run', 'libvirt-sock')
    const flags = ['--state-dir', this.stateDir, '--socket-dir', join(this.directory, 'run')]
    const script = 'log=$1; shift; exec "$@" >"$log" 2>&1'
    const command = [process.execPath, join(checkout, 'src/launcher.js'), 'daemon', ...flags]
    this.#child = spawn('sh', ['-c', script, 'sh', this.#log, ...command], { stdio: 'ignore' })
  }

  output(): string {
    return readFileSync(this.#log, 'utf8')
  }

  async ready(): Promise<void> {
    const gone = new AbortController()
    this.#child.once('exit', () => gone.abort(new Error(`The daemon ended: ${this.output()}`)))
    await waitForSocket(this.socket, 60_000, gone.signal)
  }

  /** The exit status, once it ended by itself. */
  async ended(): Promise<number | null> {
    if (this.#child.exitCode !== null) return this.#child.exitCode
    return await new Promise((resolve) => this.#child.once('exit', resolve))
  }

  async virsh(...words: readonly string[]): Promise<Captured> {
    return await capture('virsh', ['-q', '-c', `qemu+unix:///system?socket=${this.socket}`, ...words], {
      timeoutMs: 60_000,
    })
  }

  async done(...words: readonly string[]): Promise<string> {
    const { status, out, err } = await this.virsh(...words)
    if (status !== 0)
      throw new Error(`virsh ${words.join(' ')} ended with ${status}: ${err}\n${this.output().slice(-3000)}`)
    return out
  }

  /** Defines, starts, snapshots, commits with a pivot, and ends a domain: what the daemon must always be able to do. */
  async playStory(name: string): Promise<void> {
    const image = join(this.directory, `${name}.qcow2`)
    await copyGuestDisk(join(this.directory, 'template.qcow2'), image)
    writeFileSync(join(this.directory, 'xml'), guestXml(name, { vda: image }))
    await this.done('define', join(this.directory, 'xml'))
    await this.done('start', name)
    await this.done('snapshot-create-as', name, 's1', '--disk-only')
    await this.done('blockcommit', name, 'vda', '--active', '--pivot')
    await this.done('domstats', name)
    await this.done('destroy', name)
    await this.done('undefine', name, '--snapshots-metadata')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGTERM')
    await eventually(() => this.#child.exitCode !== null || this.#child.signalCode !== null, {
      what: 'the daemon ends',
    }).catch(() => this.#child.kill('SIGKILL'))
    for (const pid of [...processesNaming(this.directory), ...processesNaming(this.stateDir)]) await endProcess(pid)
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}

/** A checkout in a home that only its owner may enter; its files are links to this one's where the file system allows it. */
async function cloneInPrivateHome(): Promise<{ readonly path: string } & AsyncDisposable> {
  const home = mkdtempSync(join(tmpdir(), 'home-'))
  const path = join(home, 'chronovisor')
  mkdirSync(path)
  for (const name of ['src', 'migrations', 'projections', 'package.json']) {
    cpSync(join(projectRoot, name), join(path, name), { recursive: true })
  }
  const modules = [join(projectRoot, 'node_modules'), join(path, 'node_modules')]
  const linked = await capture('cp', ['-al', ...modules])
  if (linked.status !== 0) await capture('cp', ['-a', ...modules], { timeoutMs: 120_000 })
  chmodSync(home, 0o700)
  return {
    path,
    async [Symbol.asyncDispose]() {
      rmSync(home, { recursive: true, force: true })
    },
  }
}

describe.skipIf(!canRun || !isRoot)('the daemon', { timeout: 180_000 }, () => {
  test('runs from a clone in a home that nobody else may enter, and serves on when node_modules is gone', async () => {
    await using clone = await cloneInPrivateHome()
    await using daemon = new PlacedDaemon(clone.path)
    await daemon.ready()
    await eventually(async () => (await daemon.virsh('list')).status === 0, { what: 'it answers' })
    // Everything that it can ever need is loaded within seconds after it is ready; npm ci takes longer to begin.
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    renameSync(join(clone.path, 'node_modules'), join(clone.path, 'gone'))
    await daemon.playStory('orphan')
    await killPostgres(daemon.stateDir)
    await eventually(async () => (await daemon.virsh('capabilities')).status === 0, { what: 'reads go on' })
    await eventually(() => daemon.output().includes('The log is available again'), {
      what: 'the log is back',
      limitMs: 40_000,
    })
    await daemon.playStory('again')
    expect(daemon.output()).not.toMatch(/ERR_MODULE_NOT_FOUND|Cannot find (module|package)/)
  })

  test('refuses a state directory that the user of its PostgreSQL cannot pass through, naming it', async () => {
    const home = mkdtempSync(join(tmpdir(), 'home-'))
    chmodSync(home, 0o700)
    try {
      await using daemon = new PlacedDaemon(projectRoot, { stateDir: join(home, 'state') })
      expect(await daemon.ended()).toBeGreaterThan(0)
      expect(daemon.output()).toContain(home)
      expect(daemon.output()).toMatch(/pass through|traverse/)
    } finally {
      rmSync(home, { recursive: true, force: true })
    }
  })

  test('refuses changes while the disk under its log is full, and recovers without a restart', async () => {
    const mount = mkdtempSync(join(tmpdir(), 'full-'))
    const mounted = await capture('mount', ['-t', 'tmpfs', '-o', 'size=700m,mode=0755', 'tmpfs', mount])
    expect(mounted.status, mounted.err).toBe(0)
    try {
      await using daemon = new PlacedDaemon(projectRoot, { stateDir: join(mount, 'state') })
      await daemon.ready()
      await daemon.playStory('before')
      writeFileSync(join(daemon.directory, 'xml'), guestXml('kept', {}))
      await daemon.done('define', join(daemon.directory, 'xml'))
      fill(mount)
      // The log has space left in files that it has already; it is used up by honest work.
      await eventually(async () => (await define(daemon, 'filler')).status !== 0, {
        what: 'a change is refused',
        limitMs: 60_000,
      })
      const refused = await define(daemon, 'filler')
      expect(refused.err).toMatch(/log is unavailable|no space|disk/i)
      expect(await daemon.done('list', '--all')).toContain('kept')
      rmSync(join(mount, 'filler'))
      await eventually(async () => (await define(daemon, 'after')).status === 0, {
        what: 'changes are taken again',
        limitMs: 60_000,
      })
      await daemon.playStory('last')
      expect(await daemon.done('list', '--all')).toContain('kept')
    } finally {
      await capture('umount', ['-l', mount])
      rmSync(mount, { recursive: true, force: true })
    }
  })
})

/** Leaves no block free on a file system. */
function fill(directory: string): void {
  const { bavail, bsize } = statfsSync(directory)
  const piece = Buffer.alloc(1 << 20, 0x5a)
  for (let left = bavail * bsize; left > 0; left -= piece.length) {
    try {
      writeFileSync(join(directory, 'filler'), piece, { flag: 'a' })
    } catch {
      return
    }
  }
}

/** Defines a domain anew with a big text that no other definition has, so that the log grows by it. */
async function define(daemon: PlacedDaemon, name: string): Promise<Captured> {
  const path = join(daemon.directory, 'big')
  const text = Buffer.from(crypto.getRandomValues(new Uint8Array(60_000))).toString('base64')
  writeFileSync(path, guestXml(name, {}).replace('<memory', `<description>${text}</description><memory`))
  return await daemon.virsh('define', path)
}
