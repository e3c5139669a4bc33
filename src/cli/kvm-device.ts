import { spawnSync } from 'node:child_process'
import { accessSync, chmodSync, chownSync, constants, readFileSync, statSync } from 'node:fs'
import type { KvmFacts } from './setup-plan.ts'

const GROUP_READ_WRITE = 0o060

/** Reads who may use the KVM device. A udev rule normally gives it to group kvm; containers and small VMs have no udev. */
export function readKvmFacts(device = '/dev/kvm'): KvmFacts {
  const stat = statSync(device, { throwIfNoEntry: false })
  if (stat === undefined) return { kind: 'absent' }
  const grouped = stat.gid === kvmGroupId() && (stat.mode & GROUP_READ_WRITE) === GROUP_READ_WRITE
  return { kind: 'present', grouped, usable: isUsable(device) }
}

/** Gives the device to root:kvm with mode 0660, creating the group where it is missing. Needs root. */
export function openKvmToGroup(device = '/dev/kvm'): void {
  if (kvmGroupId() === null) spawnSync('groupadd', ['--system', '--force', 'kvm'], { stdio: 'inherit' })
  const gid = kvmGroupId()
  if (gid === null) throw new Error(`Cannot open ${device} to group kvm: there is no group kvm and groupadd made none`)
  chownSync(device, 0, gid)
  chmodSync(device, 0o660)
}

function kvmGroupId(): number | null {
  const line = readFileSync('/etc/group', 'utf8').match(/^kvm:[^:]*:(\d+):/m)
  return line?.[1] === undefined ? null : Number(line[1])
}

function isUsable(device: string): boolean {
  try {
    accessSync(device, constants.R_OK | constants.W_OK)
    return true
  } catch {
    return false
  }
}
