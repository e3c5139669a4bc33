import { copyFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { type Captured, capture } from './capture.ts'
import { isRunning, processesNaming } from './end-processes.ts'
import { FaultControl } from './fault-control.ts'
import type { GuardName } from './guards.ts'
import { makeGuestDisk } from './guest-disk.ts'
import { type RunningDaemon, startDaemon } from './running-daemon.ts'

const entry = fileURLToPath(new URL('./faulty-daemon.ts', import.meta.url))

/** A process told from every other one. */
export interface ProcessTag {
  readonly pid: number
  readonly startTicks: string
}

/** A faulty daemon with real PostgreSQL and real QEMU in directories of its own, and everything that a fault test asks of them. */
export class FaultLane implements AsyncDisposable {
  readonly daemon: RunningDaemon
  readonly control: FaultControl
  readonly env: Record<string, string>

  private constructor(daemon: RunningDaemon, env: Record<string, string>) {
    this.daemon = daemon
    this.env = env
    this.control = new FaultControl(daemon.socketDir)
  }

  /** Starts it; `env` is that of every start and may be changed between them. */
  static async open(
    options: { readonly guardsOff?: readonly GuardName[]; readonly env?: Record<string, string> } = {},
  ): Promise<FaultLane> {
    const env = { ...options.env, GUARDS_OFF: (options.guardsOff ?? []).join(',') }
    const daemon = await startDaemon({
      driver: 'qemu',
      env,
      through: [process.execPath, entry],
    })
    return new FaultLane(daemon, env)
  }

  /** Path of an image in the daemon's directory. */
  image(name: string): string {
    return join(this.daemon.directory, name)
  }

  /** Runs one virsh; the words are one command. */
  async virsh(...words: readonly string[]): Promise<Captured> {
    return await this.virshAt('', ...words)
  }

  /** The same with parameters of the connection, such as "on-ready=pivot". */
  async virshAt(parameters: string, ...words: readonly string[]): Promise<Captured> {
    return await capture('virsh', ['-q', '-c', this.daemon.uri(parameters), ...words], { timeoutMs: 90_000 })
  }

  /** Runs one virsh that must succeed; gives what it printed. */
  async done(...words: readonly string[]): Promise<string> {
    const ended = await this.virsh(...words)
    if (ended.status !== 0)
      throw new Error(
        `virsh ${words.join(' ')} ended with ${ended.status}: ${ended.err}\n${this.daemon.output().slice(-4000)}`,
      )
    return ended.out
  }

  /** Rows of a query on the daemon's database, past the daemon. */
  async rows(text: string, values: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
    const { host, port, database, user } = this.daemon.file().database
    const client = new pg.Client({ host, port, database, user, connectionTimeoutMillis: 5_000 })
    client.on('error', () => {})
    await client.connect()
    try {
      return (await client.query<Record<string, unknown>>(text, [...values])).rows
    } finally {
      await client.end()
    }
  }

  /** Types of the events of a domain, in order. */
  async facts(uuid: string): Promise<string[]> {
    const rows = await this.rows(
      `select t.name from event e join event_type t using (type_id) join stream s using (stream_id)
       where s.name = $1 order by e.pos`,
      [`domain-${uuid}`],
    )
    return rows.map((row) => String(row['name']))
  }

  /** The chain of each disk as the read model has it, active image first. */
  async recordedChains(uuid: string): Promise<Readonly<Record<string, readonly string[]>>> {
    const rows = await this.rows(
      'select disk, path from disk_layers where domain_uuid = $1 and to_position is null order by disk, ordinal',
      [uuid],
    )
    const chains: Record<string, string[]> = {}
    for (const row of rows) (chains[String(row['disk'])] ??= []).push(String(row['path']))
    return chains
  }

  /** Phases of the domain's block jobs that have no end in the log. */
  async openJobs(uuid: string): Promise<string[]> {
    const rows = await this.rows(
      'select state from block_jobs where domain_uuid = $1 and to_position is null and ended_at_us is null',
      [uuid],
    )
    return rows.map((row) => String(row['state']))
  }

  /** Intents of the domain without an outcome. */
  async openIntents(uuid: string): Promise<string[]> {
    const rows = await this.rows('select intent from open_intents where domain_uuid = $1 and to_position is null', [
      uuid,
    ])
    return rows.map((row) => String(row['intent']))
  }

  /** The process of a domain, null when none lives. */
  process(uuid: string): ProcessTag | null {
    const [pid] = processesNaming(join(this.daemon.socketDir, 'domains', uuid))
    return pid === undefined ? null : { pid, startTicks: startTicksOf(pid) }
  }

  /** Whether the daemon's process lives. */
  isAlive(): boolean {
    return isRunning(this.daemon.pid())
  }

  /** Waits until the daemon has died by a planned fault. */
  async died(limitMs = 60_000): Promise<void> {
    await eventually(() => !this.isAlive(), { what: 'the daemon dies at its crash point', limitMs })
    await this.daemon.kill()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon[Symbol.asyncDispose]()
  }
}

/** Waits until something holds, asked again and again; an answer that throws does not hold yet. */
export async function eventually(
  holds: () => boolean | Promise<boolean>,
  {
    what,
    limitMs = 40_000,
    everyMs = 50,
  }: { readonly what: string; readonly limitMs?: number; readonly everyMs?: number },
): Promise<void> {
  const deadline = performance.now() + limitMs
  for (let failure: unknown = null; ; ) {
    try {
      if (await holds()) return
      failure = null
    } catch (error) {
      failure = error
    }
    if (performance.now() > deadline)
      throw new Error(`It did not come to be within ${limitMs} ms that ${what}`, { cause: failure })
    await sleep(everyMs)
  }
}

/** Copies the disk of a writing guest (made once, at `template`) to `path`, owned by this user. */
export async function copyGuestDisk(template: string, path: string): Promise<void> {
  if (!existsSync(template)) await makeGuestDisk(template, { ballastMb: 8 })
  copyFileSync(template, path)
}

/** A definition of a small guest, run by translation: its BIOS boots ten times faster so than under nested virtualization. It works on the given disks (target -> image). */
export function guestXml(
  name: string,
  disks: Readonly<Record<string, string>>,
  change: { readonly uuid?: string; readonly emulator?: string } = {},
): string {
  const uuid = change.uuid === undefined ? '' : `<uuid>${change.uuid}</uuid>`
  const emulator = change.emulator === undefined ? '' : `<emulator>${change.emulator}</emulator>`
  const devices = Object.entries(disks).map(
    ([target, path]) =>
      `<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${path}'/><target dev='${target}' bus='virtio'/></disk>`,
  )
  return `<domain type='qemu'><name>${name}</name>${uuid}<memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os><features><acpi/></features>
<devices>${emulator}${devices.join('')}</devices></domain>`
}

/** Field 22 of /proc/PID/stat. */
export function startTicksOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}
