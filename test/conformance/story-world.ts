import { accessSync, chmodSync, constants, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { capture } from '../support/capture.ts'
import { makeGuestDisk } from '../support/guest-disk.ts'
import { storyDefinitions } from './story-definitions.ts'

/** Files that the story is told with, and the kind of virtualization; the same on both sides but for the directory. */
export interface StoryWorld {
  readonly directory: string
  readonly virtType: VirtType
}

/** How guests run: in hardware where /dev/kvm can be used, else emulated. */
export type VirtType = 'kvm' | 'qemu'

/** The best kind of guest on this machine. */
export function availableVirtType(): VirtType {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK)
    return 'kvm'
  } catch {
    return 'qemu'
  }
}

/** Makes the images and definition files in a directory that the hypervisor's user can pass through. */
export async function makeStoryWorld(directory: string, virtType: VirtType): Promise<StoryWorld> {
  mkdirSync(directory, { recursive: true })
  chmodSync(directory, 0o755)
  const at = (name: string): string => join(directory, name)
  await makeGuestDisk(at('system.qcow2'), { pace: 'slow', sizeMb: 64, ballastMb: 16 })
  await makeGuestDisk(at('base.qcow2'), { pace: 'idle', sizeMb: 64, ballastMb: 16 })
  await makeGuestDisk(at('python.qcow2'), { pace: 'idle', sizeMb: 64, ballastMb: 4 })
  await qemuImg('create', '-q', '-f', 'qcow2', '-b', at('base.qcow2'), '-F', 'qcow2', at('data.qcow2'))
  await qemuImg('create', '-q', '-f', 'raw', at('scratch.raw'), '8M')
  // Both daemons may run QEMU as a user of their own.
  const images = ['system.qcow2', 'base.qcow2', 'data.qcow2', 'scratch.raw', 'python.qcow2']
  for (const name of images) chmodSync(at(name), 0o666)
  chmodSync(directory, 0o777)
  const definitions = storyDefinitions(directory, virtType)
  for (const [name, text] of Object.entries(definitions)) writeFileSync(at(name), text)
  return { directory, virtType }
}

async function qemuImg(...args: readonly string[]): Promise<void> {
  const { status, err } = await capture('qemu-img', args)
  if (status !== 0) throw new Error(`Cannot run qemu-img ${args.join(' ')}: ${err}`)
}
