import { writeFileSync } from 'node:fs'
import type { Captured } from './capture.ts'
import { copyGuestDisk, eventually, type FaultLane, guestXml } from './fault-lane.ts'
import { guestWriteCount } from './guest-disk.ts'

/** One domain on a lane, with the names of everything that belongs to it. */
export interface Stage {
  readonly lane: FaultLane
  readonly name: string
  readonly uuid: string
  /** Image of a disk's layer: `base`, or the name of the snapshot that created it. */
  layer(name: string, disk?: 'vda' | 'vdb'): string
}

/** What is there before a fault, and what is under way when it happens. */
export interface Scene {
  readonly disks: readonly ('vda' | 'vdb')[]
  readonly prepare: (stage: Stage) => Promise<void>
  /** What the client does; how it ended says what it was told. */
  readonly act: (stage: Stage) => Promise<Captured | null>
}

/** A stage for one row; nothing is made yet. */
export function stageOf(lane: FaultLane, name: string, uuid: string): Stage {
  return {
    lane,
    name,
    uuid,
    layer: (layer, disk = 'vda') => lane.image(layer === 'base' ? `${name}-${disk}.qcow2` : `${name}-${disk}.${layer}`),
  }
}

async function nothing(): Promise<null> {
  return null
}

async function writeXml(stage: Stage, disks: readonly ('vda' | 'vdb')[]): Promise<string> {
  const path = stage.lane.image(`${stage.name}.xml`)
  for (const disk of disks) await copyGuestDisk(stage.lane.image('template.qcow2'), stage.layer('base', disk))
  const images = Object.fromEntries(disks.map((disk) => [disk, stage.layer('base', disk)]))
  writeFileSync(path, guestXml(stage.name, images, { uuid: stage.uuid }))
  return path
}

async function define(stage: Stage, disks: readonly ('vda' | 'vdb')[] = ['vda']): Promise<void> {
  await stage.lane.done('define', await writeXml(stage, disks))
}

async function run(stage: Stage, disks?: readonly ('vda' | 'vdb')[]): Promise<void> {
  await define(stage, disks)
  await stage.lane.done('start', stage.name)
}

/** Runs until the guest has written some blocks to the given layer. */
async function written(stage: Stage, layer: string): Promise<void> {
  await eventually(async () => (await guestWriteCount(stage.layer(layer))) > 1, {
    what: `the guest writes to ${layer}`,
  })
}

async function snapshot(stage: Stage, name: string): Promise<void> {
  await stage.lane.done('snapshot-create-as', stage.name, name, '--disk-only')
}

/** A guest that wrote to its base, and writes to an overlay now. */
async function runOnOverlay(stage: Stage): Promise<void> {
  await run(stage)
  await written(stage, 'base')
  await snapshot(stage, 's1')
  const count = await guestWriteCount(stage.layer('s1'))
  await eventually(async () => (await guestWriteCount(stage.layer('s1'))) > count, {
    what: 'the guest writes to s1',
    everyMs: 200,
  })
}

async function commitToReady(stage: Stage): Promise<void> {
  await runOnOverlay(stage)
  await stage.lane.done('blockcommit', stage.name, 'vda', '--active')
  await eventually(async () => (await stage.lane.openJobs(stage.uuid))[0] === 'ready', { what: 'the commit is ready' })
}

/** Begins a commit so slowly that it is seen running, then lets it go: a guest that writes faster would never be caught up with. */
async function commitSlowly(stage: Stage, parameters: string): Promise<Captured> {
  const words = ['blockcommit', stage.name, 'vda', '--active', '--bandwidth', '1']
  const answer = await stage.lane.virshAt(parameters, ...words)
  await hurryJob(stage)
  return answer
}

/** Takes the speed limit off the job of a domain, if there is one and somebody to ask. */
export async function hurryJob({ lane, name }: Stage): Promise<void> {
  await lane.virsh('blockjob', name, 'vda', '--bandwidth', '1000')
}

const one = ['vda'] as const
const two = ['vda', 'vdb'] as const

/** The scenes by name. Commands are those of real virsh. */
export const scenes = {
  idle: { disks: one, prepare: async (stage) => await define(stage), act: nothing },
  running: { disks: one, prepare: async (stage) => await runOnOverlay(stage), act: nothing },
  define: {
    disks: one,
    prepare: async (stage) => void (await writeXml(stage, one)),
    act: async ({ lane, name }) => await lane.virsh('define', lane.image(`${name}.xml`)),
  },
  undefine: {
    disks: one,
    prepare: async (stage) => await define(stage),
    act: async ({ lane, name }) => await lane.virsh('undefine', name),
  },
  autostart: {
    disks: one,
    prepare: async (stage) => await define(stage),
    act: async ({ lane, name }) => await lane.virsh('autostart', name),
  },
  start: {
    disks: one,
    prepare: async (stage) => await define(stage),
    act: async ({ lane, name }) => await lane.virsh('start', name),
  },
  startPaused: {
    disks: one,
    prepare: async (stage) => await define(stage),
    act: async ({ lane, name }) => await lane.virsh('start', name, '--paused'),
  },
  destroy: {
    disks: one,
    prepare: async (stage) => await run(stage),
    act: async ({ lane, name }) => await lane.virsh('destroy', name),
  },
  shutdown: {
    disks: one,
    prepare: async (stage) => {
      await run(stage)
      await written(stage, 'base')
    },
    act: async ({ lane, name }) => await lane.virsh('shutdown', name),
  },
  reset: {
    disks: one,
    prepare: async (stage) => await run(stage),
    act: async ({ lane, name }) => await lane.virsh('reset', name),
  },
  suspend: {
    disks: one,
    prepare: async (stage) => await run(stage),
    act: async ({ lane, name }) => await lane.virsh('suspend', name),
  },
  resume: {
    disks: one,
    prepare: async (stage) => {
      await run(stage)
      await stage.lane.done('suspend', stage.name)
    },
    act: async ({ lane, name }) => await lane.virsh('resume', name),
  },
  snapshot: {
    disks: one,
    prepare: async (stage) => {
      await run(stage)
      await written(stage, 'base')
    },
    act: async ({ lane, name }) => await lane.virsh('snapshot-create-as', name, 's1', '--disk-only'),
  },
  snapshotOfTwo: {
    disks: two,
    prepare: async (stage) => {
      await run(stage, two)
      await written(stage, 'base')
    },
    act: async ({ lane, name }) => await lane.virsh('snapshot-create-as', name, 's1', '--disk-only'),
  },
  snapshotWhileOff: {
    disks: one,
    prepare: async (stage) => await define(stage),
    act: async ({ lane, name }) => await lane.virsh('snapshot-create-as', name, 's1', '--disk-only'),
  },
  snapshotDelete: {
    disks: one,
    prepare: async (stage) => await runOnOverlay(stage),
    act: async ({ lane, name }) => await lane.virsh('snapshot-delete', name, 's1', '--metadata'),
  },
  commit: {
    disks: one,
    prepare: async (stage) => await runOnOverlay(stage),
    act: async (stage) => await commitSlowly(stage, ''),
  },
  commitToPivot: {
    disks: one,
    prepare: async (stage) => await runOnOverlay(stage),
    act: async (stage) => await commitSlowly(stage, 'on-ready=pivot'),
  },
  pivot: {
    disks: one,
    prepare: async (stage) => await commitToReady(stage),
    act: async ({ lane, name }) => await lane.virsh('blockjob', name, 'vda', '--pivot'),
  },
  abort: {
    disks: one,
    prepare: async (stage) => await commitToReady(stage),
    act: async ({ lane, name }) => await lane.virsh('blockjob', name, 'vda', '--abort'),
  },
  speed: {
    disks: one,
    prepare: async (stage) => await commitToReady(stage),
    act: async ({ lane, name }) => await lane.virsh('blockjob', name, 'vda', '--bandwidth', '5'),
  },
  pull: {
    disks: one,
    prepare: async (stage) => await runOnOverlay(stage),
    act: async ({ lane, name }) => await lane.virsh('blockpull', name, 'vda', '--wait'),
  },
  commitMiddle: {
    disks: one,
    prepare: async (stage) => {
      await runOnOverlay(stage)
      await snapshot(stage, 's2')
    },
    act: async ({ lane, name, layer }) =>
      await lane.virsh('blockcommit', name, 'vda', '--top', layer('s1'), '--base', layer('base'), '--wait'),
  },
  adopt: {
    disks: one,
    prepare: async (stage) => await define(stage),
    act: async ({ lane, name }) => await lane.daemon.cli('chain', 'adopt', name, 'vda'),
  },
  forget: {
    disks: one,
    prepare: async (stage) => await define(stage),
    act: async ({ lane }) => await lane.daemon.cli('caps', 'forget', '--all'),
  },
  probe: {
    disks: one,
    prepare: async (stage) => await define(stage),
    act: async ({ lane }) => await lane.daemon.cli('caps', 'probe', '--all'),
  },
  check: {
    disks: one,
    prepare: async (stage) => await run(stage),
    act: async ({ lane }) => await lane.daemon.cli('check'),
  },
} as const satisfies Record<string, Scene>

/** Name of one of {@link scenes}. */
export type SceneName = keyof typeof scenes
