import { join } from 'node:path'
import type { Config } from './config.ts'
import { daemonVersion } from './daemon-file.ts'
import type { Driver } from './driver/driver.ts'
import type { HostFacts, ProcessTable, ProcessUser } from './driver/host-facts.ts'
import type { Images } from './driver/images.ts'
import { createQemuUser } from './host/create-qemu-user.ts'
import { findQemuUser, qemuUserNames } from './host/find-qemu-user.ts'
import { ImageFiles } from './host/image-files.ts'
import { LocalHost } from './host/local-host.ts'
import { LocalProcesses } from './host/local-processes.ts'
import { QemuDriver } from './qemu/qemu-driver.ts'
import { systemTimers } from './util/timers.ts'

/** A hypervisor with the files that it works on, and the machine that both run on. */
export interface Hypervisor {
  readonly driver: Driver
  readonly images: Images
  readonly machine: HostFacts
  /** Whom guests run as; null is the daemon's own user. */
  readonly user: ProcessUser | null
  readonly processes: ProcessTable
  /** For people: what runs domains, as whom. */
  readonly description: string
}

/** Chooses the driver: QEMU where an emulator is installed (or it was demanded), else the one without QEMU. */
export async function composeDriver(config: Config): Promise<Hypervisor> {
  const user = config.driver === 'test' ? null : qemuUserOf(config)
  const machine = new LocalHost({ qemuUser: user })
  const processes = new LocalProcesses()
  if (config.driver !== 'test') {
    const driver = new QemuDriver({
      host: machine,
      processes,
      user,
      version: daemonVersion(),
      runDirectory: join(config.socketDir, 'domains'),
      logDirectory: join(config.stateDir, 'log'),
    })
    const emulators = await driver.listEmulators()
    if (emulators.length > 0 || config.driver === 'qemu') {
      const kvm = machine.kvmUsable() ? 'KVM' : 'no KVM (translation only)'
      const description = `QEMU, ${emulators.length} emulator${emulators.length === 1 ? '' : 's'}, ${kvm}${user === null ? '' : `, as user ${user.name}`}`
      return { driver, images: new ImageFiles({ qemuUser: user }), machine, user, processes, description }
    }
  }
  const description =
    config.driver === 'test' ? 'the built-in test driver' : 'the built-in test driver (no qemu-system-* found in PATH)'
  return { ...(await composeTestDriver(config, processes.bootId())), machine, user: null, processes, description }
}

/** Loaded only where it is used: all of its code, at once. */
async function composeTestDriver(config: Config, bootId: string): Promise<Pick<Hypervisor, 'driver' | 'images'>> {
  const { TestDriver } = await import('./testdriver/test-driver.ts')
  const { TestImages } = await import('./testdriver/test-images.ts')
  const { TestWorld } = await import('./testdriver/test-world.ts')
  const { FileWorldStore } = await import('./testdriver/world-store.ts')
  const world = new TestWorld({
    store: new FileWorldStore(join(config.stateDir, 'test-world.json')),
    bootId,
    timers: systemTimers,
  })
  return { driver: new TestDriver({ world }), images: new TestImages(world) }
}

/** QEMU never runs as root: root's daemon takes the configured user, a known one, or creates one. A user's daemon runs QEMU as that user. */
function qemuUserOf(config: Config): (ProcessUser & { readonly name: string }) | null {
  if (process.getuid?.() !== 0) return null
  const names = config.qemuUser === null ? qemuUserNames : [config.qemuUser]
  const found = findQemuUser({ names })
  if (found !== null) return found
  if (config.qemuUser !== null)
    throw new Error(`Cannot run QEMU as user "${config.qemuUser}": there is no such user, or it is root`)
  return createQemuUser()
}
