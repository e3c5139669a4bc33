import { createHash } from 'node:crypto'
import { type BigIntStats, realpathSync, statSync } from 'node:fs'
import { machine } from 'node:os'
import { basename } from 'node:path'
import type {
  EmulatorIdentity,
  ExecutableIdentity,
  InvalidationReason,
  RecordedEmulator,
  Staleness,
} from '../driver/emulator-probe.ts'
import type { ExecutableFile, HostCpu, HostFacts, ProcessUser } from '../driver/host-facts.ts'
import { Fault } from '../util/fault.ts'
import type { FileHashes } from './file-hashes.ts'
import { type ProbedHost, readOnce } from './probed-host.ts'
import { probeBuild } from './probe-questions.ts'

/** Where distributions put QEMU's modules; the first that exists is the one. */
export const defaultModuleDirectories = [
  '/usr/lib/x86_64-linux-gnu/qemu',
  '/usr/lib/aarch64-linux-gnu/qemu',
  '/usr/lib64/qemu-kvm',
  '/usr/lib64/qemu',
  '/usr/lib/qemu',
] as const

/** What identities are read with. */
export interface EmulatorIdentitiesOptions {
  readonly host: HostFacts
  readonly hashes: FileHashes
  /** The user that probes run as. */
  readonly user: ProcessUser
  readonly moduleDirectories?: readonly string[]
  /** Identifies the daemon's build; what its probes ask and how it judges the answers, unless given. */
  readonly build?: string
}

/** One comparison of the closed list: what differs, or null. */
type Check = (recorded: EmulatorIdentity, now: Now) => Staleness | null

/** What a recorded identity is compared with. */
interface Now {
  readonly binary: string
  readonly host: ProbedHost
}

/** Reads and compares the identity of emulator binaries and of the host they were probed on. */
export class EmulatorIdentities {
  readonly #host: HostFacts
  readonly #hashes: FileHashes
  readonly #user: ProcessUser
  readonly #moduleDirectories: readonly string[]
  readonly #build: string
  /** In the order of the closed list (capabilities: reasons 1 to 13, 15, 16); the first that differs is the reason. */
  readonly #checks: readonly Check[] = [
    (recorded) => this.#moduleDirectory(recorded),
    ({ daemonBuild }) => differing('daemon_changed', daemonBuild ?? 'not recorded', this.#build),
    (recorded, { binary }) => this.#file(recorded, binary),
    (recorded, { binary, host }) => (isNative(binary) ? kvmDiffers(recorded, host) : null),
    (recorded, { host }) =>
      accelerated(recorded, 'host_cpu_changed', () => [recorded.hostCpu, describeCpu(host.cpu())]),
    (recorded, { host }) =>
      accelerated(recorded, 'microcode_changed', () => [recorded.microcode ?? 'none', host.microcode() ?? 'none']),
    (recorded, { host }) => accelerated(recorded, 'kernel_changed', () => [recorded.kernel, host.kernel()]),
    (recorded, { host }) => cpuidDiffers(recorded, host),
    (recorded, { host }) =>
      accelerated(recorded, 'nested_kvm_changed', () => [yesNo(recorded.nestedKvm), yesNo(host.nestedKvm())]),
    ({ secureGuest, ...recorded }, { host }) =>
      secureGuest === null
        ? null
        : accelerated(recorded, 'secure_guest_changed', () => [secureGuest, host.secureGuest()]),
    ({ firmware }, { host }) =>
      firmware === null ? null : differing('firmware_descriptors_changed', firmware, host.firmware()),
    ({ uid, gid }) =>
      differing('probe_environment_changed', `uid ${uid}, gid ${gid}`, `uid ${this.#user.uid}, gid ${this.#user.gid}`),
  ]

  constructor({ host, hashes, user, ...options }: EmulatorIdentitiesOptions) {
    this.#host = host
    this.#hashes = hashes
    this.#user = user
    this.#moduleDirectories = options.moduleDirectories ?? defaultModuleDirectories
    this.#build = options.build ?? probeBuild
  }

  /** Identity of a binary and of the program that ran behind it, which is another one where the binary is a wrapper. Throws Fault when it cannot be read. */
  read(binary: string, executable: ExecutableFile | null = null): EmulatorIdentity {
    try {
      const resolvedPath = realpathSync.native(binary)
      const stats = regularFile(resolvedPath)
      const modules = this.#firstModuleDirectory()
      const executablePath = executable?.path ?? resolvedPath
      return {
        resolvedPath,
        ...fileFacts(stats),
        sha256: this.#contentHash(resolvedPath, executablePath),
        executablePath,
        executable: executable === null || executablePath === resolvedPath ? null : factsOf(executable),
        kvmUsable: this.#host.kvmUsable(),
        moduleDirectory: modules?.path ?? null,
        moduleDirectoryMtimeNs: modules?.stats.mtimeNs ?? null,
        kernel: this.#host.kernel(),
        microcode: this.#host.microcode(),
        hostCpu: describeCpu(this.#host.cpu()),
        nestedKvm: this.#host.nestedKvm(),
        uid: this.#user.uid,
        gid: this.#user.gid,
        daemonBuild: this.#build,
        cpuid: this.#host.cpuid(),
        secureGuest: this.#host.secureGuest(),
        firmware: this.#host.firmware(),
      }
    } catch (cause) {
      throw cannotRead(binary, cause)
    }
  }

  /** Takes the content hash of a recorded identity, so that a file which still has that stat need not be read: some have 60 MB. */
  recall({ sha256, resolvedPath, executablePath, ...file }: EmulatorIdentity): void {
    // Behind a wrapper the hash is that of two.
    if (executablePath === resolvedPath && sha256 !== '') this.#hashes.remember(file, sha256)
  }

  /**
   * The first reason for which a recorded identity no longer holds. One stat for each recorded path; the content is hashed only when a stat differs, once
   * for each new content. The same content under another ctime (a chmod, a reinstallation) is no change: null.
   */
  check(binary: string, recorded: EmulatorIdentity): Staleness | null {
    return this.#first(recorded, { binary, host: this.#host })
  }

  /** The same for several emulators in one moment: what the host says of itself is read once for all of them. */
  checkAll(emulators: readonly RecordedEmulator[]): readonly (Staleness | null)[] {
    const host = readOnce(this.#host)
    return emulators.map(({ binary, recorded }) => this.#first(recorded, { binary, host }))
  }

  #first(recorded: EmulatorIdentity, now: Now): Staleness | null {
    for (const check of this.#checks) {
      const found = check(recorded, now)
      if (found !== null) return found
    }
    return null
  }

  /** Throws Fault (`operation_aborted`) unless a process runs the very program that was recorded. */
  checkExecutable(
    running: ExecutableFile | null,
    { pid, recorded }: { readonly pid: number; readonly recorded: EmulatorIdentity },
  ): void {
    if (running === null)
      throw new Fault('operation_failed', `Cannot compare the program of process ${pid}: it is gone`)
    const plain = recorded.executablePath === recorded.resolvedPath
    if (plain && sameFile(running, recorded)) return
    // The kernel's link leads to the very file that runs, even when its name means another one by now.
    const content = plain
      ? this.#hashes.sha256(`/proc/${pid}/exe`)
      : this.#contentHash(recorded.resolvedPath, `/proc/${pid}/exe`)
    if (content === recorded.sha256) return
    const found = `it runs "${running.path}" with other content (${content.slice(0, 12)}) than was probed (${recorded.sha256.slice(0, 12)})`
    throw new Fault('operation_aborted', `Cannot use process ${pid}: ${found}`, { subject: running.path })
  }

  // Behind a wrapper both files count, and a change of either changes the result.
  #contentHash(resolvedPath: string, executablePath: string): string {
    const own = this.#hashes.sha256(resolvedPath)
    if (executablePath === resolvedPath) return own
    return createHash('sha256')
      .update(`${own}\n${this.#hashes.sha256(executablePath)}\n`)
      .digest('hex')
  }

  #moduleDirectory({ moduleDirectory, moduleDirectoryMtimeNs }: EmulatorIdentity): Staleness | null {
    if (moduleDirectory === null) return null
    const was = `${moduleDirectory} mtime ${moduleDirectoryMtimeNs ?? 'unknown'}`
    const stats = statSync(moduleDirectory, { bigint: true, throwIfNoEntry: false })
    if (stats === undefined) return { reason: 'module_directory_unreadable', was, is: `${moduleDirectory} is missing` }
    return differing('module_directory_changed', was, `${moduleDirectory} mtime ${stats.mtimeNs}`)
  }

  #file(recorded: EmulatorIdentity, binary: string): Staleness | null {
    const was = describeFile(recorded)
    try {
      const resolvedPath = realpathSync.native(binary)
      const file = fileFacts(regularFile(resolvedPath))
      const isWrapper = recorded.executablePath !== recorded.resolvedPath
      if (sameFile(file, recorded) && (!isWrapper || isUntouched(recorded))) return null
      const sha256 = this.#contentHash(resolvedPath, isWrapper ? recorded.executablePath : resolvedPath)
      if (sha256 === recorded.sha256) return null
      return { reason: 'emulator_changed', was, is: describeFile({ resolvedPath, ...file, sha256 }) }
    } catch (error) {
      return { reason: 'emulator_missing', was, is: error instanceof Error ? error.message : String(error) }
    }
  }

  #firstModuleDirectory(): { readonly path: string; readonly stats: BigIntStats } | null {
    for (const path of this.#moduleDirectories) {
      const stats = statSync(path, { bigint: true, throwIfNoEntry: false })
      if (stats?.isDirectory() === true) return { path, stats }
    }
    return null
  }
}

function kvmDiffers(recorded: EmulatorIdentity, host: ProbedHost): Staleness | null {
  const usable = host.kvmUsable()
  const reason = usable ? 'kvm_appeared' : 'kvm_gone'
  return differing(reason, `usable: ${yesNo(recorded.kvmUsable)}`, `usable: ${yesNo(usable)}`)
}

// Without an accelerator the guest's CPU is QEMU's own and the host's does not matter.
function accelerated(
  recorded: Pick<EmulatorIdentity, 'kvmUsable'>,
  reason: InvalidationReason,
  compared: () => readonly [was: string, is: string],
): Staleness | null {
  if (!recorded.kvmUsable) return null
  const [was, is] = compared()
  return differing(reason, was, is)
}

// Where KVM could not be asked, then or now, nothing is known to differ.
function cpuidDiffers(recorded: EmulatorIdentity, host: ProbedHost): Staleness | null {
  const { cpuid: was } = recorded
  const is = recorded.kvmUsable && was !== null ? host.cpuid() : null
  return was === null || is === null ? null : differing('cpuid_changed', was, is)
}

/** Whether guests of this emulator can use the host's CPU, as far as its name tells; names without an architecture (`qemu-kvm`) are native. */
export function isNative(binary: string, hostArch: string = machine()): boolean {
  const arch = /^qemu-system-(.+)$/.exec(basename(binary))?.[1]
  return arch === undefined || arch === hostArch || (hostArch === 'x86_64' && arch === 'i386')
}

/** Vendor, family, model, stepping and name in one line; what else /proc/cpuinfo says differs from one CPU to the next. */
export function describeCpu({ vendor, family, model, stepping, name }: HostCpu): string {
  return `${vendor} ${family}/${model}/${stepping} ${name}`
}

/** Reading anything else than a regular file may wait for ever. */
function regularFile(path: string): BigIntStats {
  const stats = statSync(path, { bigint: true })
  if (!stats.isFile()) throw new Error(`it is ${stats.isDirectory() ? 'a directory' : 'no regular file'}`)
  if ((stats.mode & 0o111n) === 0n) throw new Error('it is not executable')
  return stats
}

function fileFacts(stats: BigIntStats): ExecutableIdentity {
  return { device: stats.dev, inode: stats.ino, sizeBytes: stats.size, ctimeNs: stats.ctimeNs }
}

function factsOf({ device, inode, sizeBytes, ctimeNs }: ExecutableFile): ExecutableIdentity {
  return { device, inode, sizeBytes, ctimeNs }
}

/** Whether the program behind a wrapper is the very file that ran. */
function isUntouched({ executable, executablePath }: EmulatorIdentity): boolean {
  return executable !== null && sameFile(fileFacts(regularFile(executablePath)), executable)
}

function sameFile(a: ExecutableIdentity, b: ExecutableIdentity): boolean {
  return a.device === b.device && a.inode === b.inode && a.sizeBytes === b.sizeBytes && a.ctimeNs === b.ctimeNs
}

function describeFile(file: ExecutableIdentity & Pick<EmulatorIdentity, 'resolvedPath' | 'sha256'>): string {
  const { resolvedPath, inode, sizeBytes, ctimeNs, sha256 } = file
  return `${resolvedPath} inode ${inode} size ${sizeBytes} ctime ${ctimeNs} sha256 ${sha256}`
}

function differing(reason: InvalidationReason, was: string, is: string): Staleness | null {
  return was === is ? null : { reason, was, is }
}

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no'
}

function cannotRead(binary: string, cause: unknown): Fault {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new Fault('operation_failed', `Cannot read emulator "${binary}": ${why}`, { cause, subject: binary })
}
