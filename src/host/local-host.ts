import { hostname, machine, release, version } from 'node:os'
import { existsSync } from 'node:fs'
import type { HostCpu, HostFacts, NodeInfo, ProcessUser } from '../driver/host-facts.ts'
import { FirmwareDescriptors } from './firmware-descriptors.ts'
import { readHostCpu, readMicrocode } from './host-cpu.ts'
import { readHostUuid } from './host-uuid.ts'
import { KvmAccess, readNestedKvm } from './kvm-access.ts'
import { KvmCpuid } from './kvm-cpuid.ts'
import { readNodeInfo } from './node-info.ts'
import { type ReadHostText, readHostText } from './read-host-text.ts'
import { readSecureGuest } from './read-secure-guest.ts'

/** What {@link LocalHost} reads from; tests give recorded files. */
export interface LocalHostOptions {
  /** The user whose access to KVM counts; null is the daemon's own. */
  readonly qemuUser: ProcessUser | null
  readonly read?: ReadHostText
  readonly exists?: (path: string) => boolean
  readonly kvmDevice?: string
  readonly firmwareDirectories?: readonly string[]
}

/** Facts of the machine that the daemon runs on. Nothing is read before it is asked for. */
export class LocalHost implements HostFacts {
  readonly #read: ReadHostText
  readonly #exists: (path: string) => boolean
  readonly #kvm: KvmAccess
  readonly #cpuid: KvmCpuid
  readonly #firmware: FirmwareDescriptors
  // What cannot change before the next boot is read once. Microcode can be loaded late and topology changes: they are read each time.
  #cpu: HostCpu | null = null
  #uuid: { readonly value: string | null } | null = null

  constructor({ qemuUser, kvmDevice, firmwareDirectories, ...options }: LocalHostOptions) {
    this.#read = options.read ?? readHostText
    this.#exists = options.exists ?? existsSync
    this.#kvm = new KvmAccess(qemuUser, kvmDevice)
    this.#cpuid = new KvmCpuid(kvmDevice)
    this.#firmware = new FirmwareDescriptors(firmwareDirectories)
  }

  kernel(): string {
    return `${release()} ${version()}`
  }

  cpu(): HostCpu {
    this.#cpu ??= readHostCpu(this.#read)
    return this.#cpu
  }

  microcode(): string | null {
    return readMicrocode(this.#read)
  }

  nestedKvm(): boolean {
    return readNestedKvm(this.#read)
  }

  cpuid(): string | null {
    return this.#cpuid.hash()
  }

  secureGuest(): string {
    return readSecureGuest({ read: this.#read, exists: this.#exists })
  }

  firmware(): string {
    return this.#firmware.hash()
  }

  kvmUsable(): boolean {
    return this.#kvm.usable()
  }

  nodeInfo(): NodeInfo {
    return readNodeInfo(this.#read, machine())
  }

  hostname(): string {
    return hostname()
  }

  uuid(): string | null {
    this.#uuid ??= { value: readHostUuid(this.#read) }
    return this.#uuid.value
  }
}
