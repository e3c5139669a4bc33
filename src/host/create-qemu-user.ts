import { spawnSync } from 'node:child_process'
import { findQemuUser, type QemuUser } from './find-qemu-user.ts'

const name = 'chronovisor-qemu'
const commands = [
  ['useradd', '--system', '--no-create-home', '--home-dir', '/nonexistent', '--shell', '/usr/sbin/nologin', name],
  ['adduser', '-S', '-D', '-H', '-h', '/nonexistent', '-s', '/sbin/nologin', name],
] as const

/** Creates the system user that QEMU runs as, where the machine has none for it. Throws naming what to do when that is not possible. */
export function createQemuUser(): QemuUser {
  for (const [command, ...args] of commands) {
    spawnSync(command, args, { stdio: 'ignore', timeout: 30_000 })
    const created = findQemuUser({ names: [name] })
    if (created !== null) return created
  }
  throw new Error(
    `Cannot create the system user "${name}" that QEMU runs as; create it, or name another with --qemu-user`,
  )
}
