import { hostname, machine, release, version } from 'node:os'
import type { HostCpu, HostFacts, NodeInfo, ProcessUser } from '../driver/host-facts.ts'
import { readHostCpu, readMicrocode } from './host-cpu.ts'
import { readHostUuid } from './host-uuid.ts'
import { KvmAccess, readNestedKvm } from './kvm-access.ts'
import { readNodeInfo } from './node-info.ts'
import { type ReadHostText, readHostText } from './read-host-text.ts'

/** What {@link LocalHost} reads from; tests give recorded files. */
export interface LocalHostOptions {
  /** The user whose access to KVM counts; null is the daemon's own. */
  readonly qemuUser: ProcessUser | null
  readonly read?: ReadHostText
  readonly kvmDevice?: string
}

/** Facts of the machine that the daemon runs on. Nothing is read before it is asked for. */
export class LocalHost implements HostFacts {
  readonly #read: ReadHostText
  readonly #kvm: KvmAccess
  // What cannot change before the next boot is read once. Microcode can be loaded late and topology changes: they are read each time.
  #cpu: HostCpu | null = null
  #uuid: { readonly value: string | null } | null = null

  constructor({ qemuUser, read = readHostText, kvmDevice }: LocalHostOptions) {
    this.#read = read
    this.#kvm = new KvmAccess(qemuUser, kvmDevice)
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
