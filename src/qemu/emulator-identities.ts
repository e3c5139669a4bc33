import { createHash } from 'node:crypto'
import { type BigIntStats, realpathSync, statSync } from 'node:fs'
import { machine } from 'node:os'
import { basename } from 'node:path'
import type { EmulatorIdentity, InvalidationReason, Staleness } from '../driver/emulator-probe.ts'
import type { ExecutableFile, HostCpu, HostFacts, ProcessUser } from '../driver/host-facts.ts'
import { Fault } from '../util/fault.ts'
import type { FileHashes } from './file-hashes.ts'

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
}

/** One comparison of the closed list: what differs, or null. */
type Check = (recorded: EmulatorIdentity, binary: string) => Staleness | null

/** Reads and compares the identity of emulator binaries and of the host they were probed on. */
export class EmulatorIdentities {
  readonly #host: HostFacts
  readonly #hashes: FileHashes
  readonly #user: ProcessUser
  readonly #moduleDirectories: readonly string[]
  /** In the order of the closed list (capabilities: reasons 1, 2, 4 to 10, 12, 16); the first that differs is the reason. */
  readonly #checks: readonly Check[] = [
    (recorded) => this.#moduleDirectory(recorded),
    (recorded, binary) => this.#file(recorded, binary),
    (recorded, binary) => (isNative(binary) ? this.#kvm(recorded) : null),
    (recorded) => this.#accelerated(recorded, 'host_cpu_changed', [recorded.hostCpu, describeCpu(this.#host.cpu())]),
    (recorded) =>
      this.#accelerated(recorded, 'microcode_changed', [
        recorded.microcode ?? 'none',
        this.#host.microcode() ?? 'none',
      ]),
    (recorded) => this.#accelerated(recorded, 'kernel_changed', [recorded.kernel, this.#host.kernel()]),
    (recorded) =>
      this.#accelerated(recorded, 'nested_kvm_changed', [yesNo(recorded.nestedKvm), yesNo(this.#host.nestedKvm())]),
    ({ uid, gid }) =>
      differing('probe_environment_changed', `uid ${uid}, gid ${gid}`, `uid ${this.#user.uid}, gid ${this.#user.gid}`),
  ]

  constructor({ host, hashes, user, moduleDirectories = defaultModuleDirectories }: EmulatorIdentitiesOptions) {
    this.#host = host
    this.#hashes = hashes
    this.#user = user
    this.#moduleDirectories = moduleDirectories
  }

  /** Identity of a binary and of what ran behind it (`executablePath`, the same file unless the binary is a wrapper). Throws Fault when it cannot be read. */
  read(binary: string, executablePath: string): EmulatorIdentity {
    try {
      const resolvedPath = realpathSync(binary)
      const stats = statSync(resolvedPath, { bigint: true })
      const modules = this.#firstModuleDirectory()
      return {
        resolvedPath,
        device: stats.dev,
        inode: stats.ino,
        sizeBytes: stats.size,
        ctimeNs: stats.ctimeNs,
        sha256: this.#contentHash(resolvedPath, executablePath),
        executablePath,
        kvmUsable: this.#host.kvmUsable(),
        moduleDirectory: modules?.path ?? null,
        moduleDirectoryMtimeNs: modules?.stats.mtimeNs ?? null,
        kernel: this.#host.kernel(),
        microcode: this.#host.microcode(),
        hostCpu: describeCpu(this.#host.cpu()),
        nestedKvm: this.#host.nestedKvm(),
        uid: this.#user.uid,
        gid: this.#user.gid,
      }
    } catch (cause) {
      throw cannotRead(binary, cause)
    }
  }

  /**
   * The first reason for which a recorded identity no longer holds. One stat for each recorded path; the content is hashed only when a stat differs, once
   * for each new content. The same content under another ctime (a chmod, a reinstallation) is no change: null.
   */
  check(binary: string, recorded: EmulatorIdentity): Staleness | null {
    for (const check of this.#checks) {
      const found = check(recorded, binary)
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
      const resolvedPath = realpathSync(binary)
      const stats = statSync(resolvedPath, { bigint: true })
      const plain = recorded.executablePath === recorded.resolvedPath
      const file = { device: stats.dev, inode: stats.ino, sizeBytes: stats.size, ctimeNs: stats.ctimeNs }
      // What lies behind a wrapper has no recorded stat; its hash comes from the memo while it is unchanged.
      if (plain && sameFile(file, recorded)) return null
      const sha256 = this.#contentHash(resolvedPath, plain ? resolvedPath : recorded.executablePath)
      return sha256 === recorded.sha256
        ? null
        : { reason: 'emulator_changed', was, is: describeFile({ resolvedPath, ...file, sha256 }) }
    } catch (error) {
      return { reason: 'emulator_missing', was, is: error instanceof Error ? error.message : String(error) }
    }
  }

  #kvm(recorded: EmulatorIdentity): Staleness | null {
    const usable = this.#host.kvmUsable()
    const reason = usable ? 'kvm_appeared' : 'kvm_gone'
    return differing(reason, `usable: ${yesNo(recorded.kvmUsable)}`, `usable: ${yesNo(usable)}`)
  }

  // Without an accelerator the guest's CPU is QEMU's own and the host's does not matter.
  #accelerated(
    recorded: EmulatorIdentity,
    reason: InvalidationReason,
    [was, is]: readonly [string, string],
  ): Staleness | null {
    return recorded.kvmUsable ? differing(reason, was, is) : null
  }

  #firstModuleDirectory(): { readonly path: string; readonly stats: BigIntStats } | null {
    for (const path of this.#moduleDirectories) {
      const stats = statSync(path, { bigint: true, throwIfNoEntry: false })
      if (stats?.isDirectory() === true) return { path, stats }
    }
    return null
  }
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

type FileFacts = Pick<EmulatorIdentity, 'device' | 'inode' | 'sizeBytes' | 'ctimeNs'>

function sameFile(a: FileFacts, b: FileFacts): boolean {
  return a.device === b.device && a.inode === b.inode && a.sizeBytes === b.sizeBytes && a.ctimeNs === b.ctimeNs
}

function describeFile(file: FileFacts & Pick<EmulatorIdentity, 'resolvedPath' | 'sha256'>): string {
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
