import { accessSync, constants, statSync } from 'node:fs'
import type { ProcessUser } from '../driver/host-facts.ts'
import { allows } from './file-access.ts'
import type { ReadHostText } from './read-host-text.ts'

const nestedParameters = ['kvm_intel', 'kvm_amd', 'kvm_hv', 'kvm'].map(
  (module) => `/sys/module/${module}/parameters/nested`,
)

/** Whether KVM guests may use KVM themselves: the first of the modules that says so counts. */
export function readNestedKvm(read: ReadHostText): boolean {
  return nestedParameters.some((path) => ['Y', 'y', '1'].includes(read(path)?.trim() ?? ''))
}

/** Answers whether the QEMU user can use a KVM device; the answer is kept until the device's ctime changes. */
export class KvmAccess {
  readonly #device: string
  readonly #user: ProcessUser | null
  #memo: { readonly ctimeNs: bigint; readonly usable: boolean } | null = null

  constructor(user: ProcessUser | null, device = '/dev/kvm') {
    this.#user = user
    this.#device = device
  }

  usable(): boolean {
    const stats = statSync(this.#device, { bigint: true, throwIfNoEntry: false })
    if (stats === undefined || !stats.isCharacterDevice()) {
      this.#memo = null
      return false
    }
    if (this.#memo?.ctimeNs === stats.ctimeNs) return this.#memo.usable
    const usable = this.#user === null ? this.#accessible() : allows(stats, this.#user, 'write')
    this.#memo = { ctimeNs: stats.ctimeNs, usable }
    return usable
  }

  // For ourselves the kernel is asked: it also knows access lists, which udev uses for the user at the console.
  #accessible(): boolean {
    try {
      accessSync(this.#device, constants.R_OK | constants.W_OK)
      return true
    } catch {
      return false
    }
  }
}
