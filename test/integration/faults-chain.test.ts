import { copyFileSync, renameSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { capture } from '../support/capture.ts'
import { copyGuestDisk, FaultLane, guestXml } from '../support/fault-lane.ts'
import { requireTool } from '../support/require-tool.ts'

const canRun = requireTool('qemu-system-x86') && requireTool('qemu-utils') && requireTool('libvirt-clients')

/** A change of a shut-off domain's files behind the daemon's back: what is done, and the layer that the refusal must name. */
interface Change {
  readonly make: (lane: FaultLane, name: string) => Promise<void>
  readonly layer: 'base' | 'overlay'
}

const changes: Readonly<Record<string, Change>> = {
  'a base replaced by another file': {
    layer: 'base',
    make: async (lane, name) => {
      copyFileSync(lane.image(`${name}-base.qcow2`), lane.image(`${name}-new.qcow2`))
      renameSync(lane.image(`${name}-new.qcow2`), lane.image(`${name}-base.qcow2`))
    },
  },
  'a base written to': {
    layer: 'base',
    make: async (lane, name) =>
      await qemu('qemu-io', '-f', 'qcow2', '-c', 'write 50M 64k', lane.image(`${name}-base.qcow2`)),
  },
  'an overlay rebased': {
    layer: 'overlay',
    make: async (lane, name) => {
      copyFileSync(lane.image(`${name}-base.qcow2`), lane.image(`${name}-other.qcow2`))
      const [overlay, other] = [lane.image(`${name}-overlay.qcow2`), lane.image(`${name}-other.qcow2`)]
      await qemu('qemu-img', 'rebase', '-u', '-f', 'qcow2', '-b', other, '-F', 'qcow2', overlay)
    },
  },
}

async function qemu(tool: string, ...args: readonly string[]): Promise<void> {
  const { status, err } = await capture(tool, args)
  if (status !== 0) throw new Error(`${tool} ${args.join(' ')} ended with ${status}: ${err}`)
}

/** Defines a domain on an overlay and its base, and runs it once, so that its chain is known. */
async function defineOnOverlay(lane: FaultLane, name: string): Promise<void> {
  const [base, overlay] = [lane.image(`${name}-base.qcow2`), lane.image(`${name}-overlay.qcow2`)]
  await copyGuestDisk(lane.image('template.qcow2'), base)
  await qemu('qemu-img', 'create', '-q', '-f', 'qcow2', '-b', base, '-F', 'qcow2', overlay)
  writeFileSync(lane.image(`${name}.xml`), guestXml(name, { vda: overlay }))
  await lane.done('define', lane.image(`${name}.xml`))
  await lane.done('start', name)
  await lane.done('destroy', name)
}

/** The whole story of one change. Throws where the daemon does not notice it. */
async function startAfter(lane: FaultLane, name: string, { make, layer }: Change): Promise<void> {
  await defineOnOverlay(lane, name)
  await make(lane, name)
  const refused = await lane.virsh('start', name)
  if (refused.status === 0) throw new Error('The domain started on a chain that was changed while it was off')
  expect(refused.err).toContain(lane.image(`${name}-${layer}.qcow2`))
  expect(refused.err).toContain(`chronovisor chain adopt ${name} vda`)
  const uuid = (await lane.done('domuuid', name)).trim()
  expect(await lane.facts(uuid)).toContain('DriftDetected')
  expect(await lane.done('domstate', name)).toContain('shut off')
  expect((await lane.virsh('start', name)).status).not.toBe(0)
  const adopted = await lane.daemon.cli('chain', 'adopt', name, 'vda')
  expect(adopted.status, adopted.err).toBe(0)
  await lane.done('start', name)
  expect(await lane.control.chains(uuid)).toEqual(await lane.recordedChains(uuid))
  await lane.done('destroy', name)
}

describe.skipIf(!canRun)('the files of a shut-off domain', { timeout: 120_000 }, () => {
  let lane: FaultLane
  beforeAll(async () => {
    lane = await FaultLane.open()
  })
  afterAll(async () => await lane[Symbol.asyncDispose]())

  test.each(Object.entries(changes))(
    '%s: the start is refused naming the layer, works once adopted',
    async (name, change) => {
      await startAfter(lane, name.replaceAll(' ', '-'), change)
    },
  )

  test.each(Object.entries(changes))(
    '%s goes unnoticed without guard chain-verified-at-start',
    async (_name, change) => {
      await using blind = await FaultLane.open({ guardsOff: ['chain-verified-at-start'] })
      await expect(startAfter(blind, 'blind', change)).rejects.toThrow('started on a chain that was changed')
    },
  )

  test('are not opened by a restart, nor by a start when nobody touched them', async () => {
    await defineOnOverlay(lane, 'kept')
    await lane.done('start', 'kept')
    await lane.daemon.stop()
    await lane.daemon.start()
    const probes = async (): Promise<unknown> =>
      (
        await lane.rows(
          `select count(*)::int as n from event join event_type using (type_id) where name like 'Emulator%'`,
        )
      )[0]
    const before = await probes()
    expect(await lane.control.filesOpened()).toBe(0)
    await lane.done('destroy', 'kept')
    await lane.done('start', 'kept')
    expect(await lane.control.filesOpened()).toBe(0)
    expect(await probes()).toEqual(before)
    await lane.done('destroy', 'kept')
    // The count does count: a file that may have changed is read.
    await qemu('touch', lane.image('kept-overlay.qcow2'))
    await lane.done('start', 'kept')
    expect(await lane.control.filesOpened()).toBeGreaterThan(0)
    await lane.done('destroy', 'kept')
  })
})
