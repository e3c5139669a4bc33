import type { ProcessUser } from '../driver/host-facts.ts'
import { type ReadHostText, readHostText } from './read-host-text.ts'

/** System users that QEMU processes may run as, the project's own first, then those that distributions create for QEMU. */
export const qemuUserNames = ['chronovisor-qemu', 'libvirt-qemu', 'qemu'] as const

/** Groups that own /dev/kvm, the usual one first. */
const kvmGroupNames = ['kvm', 'qemu'] as const

/** A user found in /etc/passwd with the group that QEMU gets as its only one. */
export interface QemuUser extends ProcessUser {
  readonly name: string
  /** Name of the group; the user's own where this machine has no group for KVM. */
  readonly group: string
}

/** The first of the names that exists on this machine, with group kvm where there is one; null when none does. A user with uid 0 is none. */
export function findQemuUser({
  names = qemuUserNames,
  read = readHostText,
}: {
  readonly names?: readonly string[]
  readonly read?: ReadHostText
} = {}): QemuUser | null {
  const users = table(read('/etc/passwd'))
  const groups = table(read('/etc/group'))
  for (const name of names) {
    const user = users.get(name)
    if (user === undefined) continue
    const [uid, ownGid] = [Number(user[2]), Number(user[3])]
    if (!Number.isInteger(uid) || uid === 0) continue
    for (const group of kvmGroupNames) {
      const gid = Number(groups.get(group)?.[2])
      if (Number.isInteger(gid)) return { name, group, uid, gid }
    }
    if (Number.isInteger(ownGid)) return { name, group: String(ownGid), uid, gid: ownGid }
  }
  return null
}

function table(text: string | null): ReadonlyMap<string, readonly string[]> {
  return new Map(
    (text ?? '')
      .split('\n')
      .map((line) => line.split(':'))
      .map((fields) => [fields[0] ?? '', fields]),
  )
}
