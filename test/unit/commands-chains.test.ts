import { describe, expect, test } from 'vitest'
import type { Images, OwnershipChange } from '../../src/driver/images.ts'
import { TestImages } from '../../src/testdriver/test-images.ts'
import { TestWorld } from '../../src/testdriver/test-world.ts'
import { callerOf, commitOf, definitionOf, FakeMachine, operator, snapshotOf } from '../support/fake-host.ts'
import { expectSettled } from '../support/settled.ts'
import { withOverlays } from '../support/with-overlays.ts'

const base = '/images/web.qcow2'
const pivoting = callerOf(1000, { onReady: 'pivot' })

describe('a chain that was changed while the domain was off', () => {
  test('is not read again while nothing changed: a start opens no file', async () => {
    const { daemon, machine, uuid } = await withOverlays(['s1'], { isOff: true })
    const world = new TestWorld({ store: machine.store, bootId: machine.bootId, timers: machine.time })
    const images = new TestImages(world)
    daemon.kill()
    const next = machine.boot({ images })
    await next.commands.startDomain(operator, { uuid, paused: false })
    expect(images.filesOpened).toBe(0)
  })

  test('refuses the start naming the layer that was replaced, until the chain is adopted', async () => {
    const { daemon, commands, host, uuid, machine } = await withOverlays(['s1'], { isOff: true })
    daemon.world.createImage({ path: base, format: 'qcow2', virtualSizeBytes: 1n << 30n, backing: null, sizeBytes: 7n })
    const refused = commands.startDomain(operator, { uuid, paused: false })
    await expect(refused).rejects.toThrow(
      `Cannot use disk "vda" of domain "web": layer "${base}" was replaced while the domain was off; if this is intended, run: chronovisor chain adopt web vda`,
    )
    await expect(refused).rejects.toMatchObject({ subject: base })
    expect(host.reads.claimsOf(uuid).map((claim) => claim.kind)).toEqual(['name'])
    expect(host.reads.byUuid(uuid)?.active).toBe(false)
    expect(machine.log.types().slice(-2)).toEqual(['DriftDetected', 'CommandRefused'])
    await expect(commands.createSnapshot(operator, snapshotOf(uuid, 's2'))).rejects.toThrow('chain adopt web vda')

    await expect(commands.adoptChain(operator, { uuid, disk: 'vda' })).resolves.toEqual(['/images/web.s1', base])
    await commands.startDomain(operator, { uuid, paused: false })
    expect(await daemon.hypervisorChain(uuid)).toEqual(['/images/web.s1', base])
  })

  test.each([
    ['written to', (world: TestWorld) => world.changeImage(base, { sizeBytes: 9n }), 'was written to while'],
    ['removed', (world: TestWorld) => world.removeImage(base), `layer "${base}" is missing`],
    [
      'rebased',
      (world: TestWorld) => world.changeImage('/images/web.s1', { backing: { path: '/other', format: 'qcow2' } }),
      'the chain below "/images/web.s1" was "/images/web.qcow2 (qcow2)" and is "/other (qcow2)" now',
    ],
  ])('refuses the start when a layer was %s', async (_what, change, says) => {
    const { machine, daemon, commands, uuid } = await withOverlays(['s1'], { isOff: true })
    await machine.time.advance(1_000)
    change(daemon.world)
    await expect(commands.startDomain(operator, { uuid, paused: false })).rejects.toThrow(says)
  })

  test('is verified by its headers when only the active image was touched', async () => {
    const { machine, daemon, commands, uuid } = await withOverlays(['s1'], { isOff: true })
    await machine.time.advance(1_000)
    daemon.world.changeImage('/images/web.s1', { sizeBytes: 12n })
    await commands.startDomain(operator, { uuid, paused: false })
    expect(machine.log.types()).toContain('BackingChainVerified')
    expect(machine.log.types()).not.toContain('DriftDetected')
  })

  test('is not recorded again and again when the same refused start is repeated', async () => {
    const { daemon, commands, uuid, machine } = await withOverlays(['s1'], { isOff: true })
    daemon.world.createImage({ path: base, format: 'qcow2', virtualSizeBytes: 1n << 30n, backing: null, sizeBytes: 7n })
    for (let round = 0; round < 50; round++) {
      await expect(commands.startDomain(operator, { uuid, paused: false })).rejects.toThrow('was replaced')
    }
    expect(machine.log.types().filter((type) => type === 'DriftDetected')).toHaveLength(1)
  })

  test('is forgotten with the disk that left the definition', async () => {
    const machine = new FakeMachine()
    const daemon = machine.boot()
    const { commands } = daemon
    const disks = { vda: base, vdb: '/images/data.qcow2' }
    const { uuid } = await commands.defineDomain(operator, { xml: definitionOf('web', { disks }), validate: false })
    await commands.startDomain(operator, { uuid, paused: false })
    // Redefined while it runs: the chain of a disk in use stays known until the run ends.
    await commands.defineDomain(operator, { xml: definitionOf('web', { uuid }), validate: false })
    expect(daemon.chain(uuid, 'vdb')).toEqual(['/images/data.qcow2'])
    await commands.destroyDomain(operator, { uuid, graceful: false })
    await commands.startDomain(operator, { uuid, paused: false })
    expect(daemon.chain(uuid, 'vdb')).toEqual([])
    await expect(commands.commitBlocks(operator, commitOf(uuid, { disk: 'vdb' }))).rejects.toThrow(
      "disk 'vdb' not found in domain",
    )
    await expectSettled(daemon)
  })
})

describe('owners of image files', () => {
  test('that were changed for a start or a job go back at the end of the run', async () => {
    const machine = new FakeMachine()
    const world = new TestWorld({ store: machine.store, bootId: machine.bootId, timers: machine.time })
    const owned = new Set<string>()
    const change = (path: string): OwnershipChange => ({
      path,
      fromUid: 0,
      fromGid: 0,
      fromMode: 0o600,
      toUid: 64055,
      toGid: 36,
    })
    const images: Images = Object.assign(new TestImages(world), {
      planAccess: (wanted: readonly { readonly path: string; readonly write: boolean }[]) =>
        Promise.resolve(wanted.filter(({ path, write }) => write && !owned.has(path)).map(({ path }) => change(path))),
      grant: (changes: readonly OwnershipChange[]) => {
        for (const { path } of changes) owned.add(path)
        return Promise.resolve()
      },
      restore: (changes: readonly OwnershipChange[]) => {
        for (const { path } of changes) owned.delete(path)
        return Promise.resolve()
      },
    })
    const daemon = machine.boot({ images })
    const { commands } = daemon
    const { uuid } = await commands.defineDomain(operator, {
      xml: definitionOf('web', { disks: { vda: '/top' } }),
      validate: false,
    })
    const backing = { path: '/base', format: 'qcow2' } as const
    world.createImage({ path: '/top', format: 'qcow2', virtualSizeBytes: 1n << 30n, backing, sizeBytes: 1n })
    await commands.startDomain(operator, { uuid, paused: false })
    expect([...owned]).toEqual(['/top'])
    await commands.commitBlocks(pivoting, commitOf(uuid))
    expect([...owned]).toEqual(['/top', '/base'])
    await machine.time.advance(60_000)
    expect(daemon.chain(uuid)).toEqual(['/base'])
    await commands.destroyDomain(operator, { uuid, graceful: false })
    expect([...owned]).toEqual([])
  })
})
