import { describe, expect, test } from 'vitest'
import { reconcileAll } from '../../src/commands/reconcile.ts'
import type { Images, OwnershipChange } from '../../src/driver/images.ts'
import { decodeFact } from '../../src/events/catalogue.ts'
import { TestImages } from '../../src/testdriver/test-images.ts'
import { TestWorld } from '../../src/testdriver/test-world.ts'
import { Fault } from '../../src/util/fault.ts'
import { callerOf, commitOf, definitionOf, FakeMachine, operator, snapshotOf } from '../support/fake-host.ts'
import { expectSettled } from '../support/settled.ts'

const base = '/images/web.qcow2'
const pivoting = callerOf(1000, { onReady: 'pivot' })

/** A daemon with the domain `web` that runs, or has run, on the overlays named. */
async function withOverlays(names: readonly string[], options: { readonly isOff?: boolean } = {}) {
  const machine = new FakeMachine()
  const daemon = machine.boot()
  const { commands, host } = daemon
  const { uuid } = await commands.defineDomain(operator, { xml: definitionOf('web'), validate: false })
  await commands.startDomain(operator, { uuid, paused: false })
  for (const name of names) await commands.createSnapshot(operator, snapshotOf(uuid, name))
  if (options.isOff === true) await commands.destroyDomain(operator, { uuid, graceful: false })
  await machine.time.advance(1)
  return { machine, daemon, commands, host, uuid }
}

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

describe('createSnapshot()', () => {
  test('takes all disks or none: a failure leaves no overlay, no claim and no record of a snapshot', async () => {
    const machine = new FakeMachine()
    const daemon = machine.boot()
    const { commands, host } = daemon
    const disks = { vda: base, vdb: '/images/data.qcow2' }
    const { uuid } = await commands.defineDomain(operator, { xml: definitionOf('web', { disks }), validate: false })
    await commands.startDomain(operator, { uuid, paused: false })
    machine.script.failNext('snapshotDisks', new Fault('operation_failed', 'Cannot snapshot: refused'))
    const before = host.reads.claimsOf(uuid)
    await expect(commands.createSnapshot(operator, snapshotOf(uuid, 's1'))).rejects.toThrow('refused')
    expect([daemon.world.image('/images/web.s1'), daemon.world.image('/images/data.s1')]).toEqual([null, null])
    expect(host.reads.claimsOf(uuid)).toEqual(before)
    expect(host.reads.snapshots(uuid)).toEqual([])
    await expectSettled(daemon)
    await commands.createSnapshot(operator, snapshotOf(uuid, 's1'))
    expect(daemon.chain(uuid, 'vdb')).toEqual(['/images/data.s1', '/images/data.qcow2'])
    await expectSettled(daemon)
  })

  test('keeps the overlays when the hypervisor took them and only its answer was lost', async () => {
    const { machine, daemon, commands, uuid } = await withOverlays([])
    const { driver } = daemon
    const take = driver.snapshotDisks.bind(driver)
    Object.defineProperty(daemon.driver, 'snapshotDisks', {
      configurable: true,
      value: async (...args: Parameters<typeof take>) => {
        await take(...args)
        throw new Fault('operation_timeout', 'Cannot snapshot: no answer')
      },
    })
    await expect(commands.createSnapshot(operator, snapshotOf(uuid, 's1'))).rejects.toThrow('no answer')
    expect(daemon.chain(uuid)).toEqual(['/images/web.s1', base])
    expect(machine.log.types()).toContain('SnapshotCreated')
    await expectSettled(daemon)
  })

  test('leaves everything open while nobody can say what became of it, and settles it later', async () => {
    const { machine, daemon, commands, uuid, host } = await withOverlays([])
    machine.script.failNext('snapshotDisks', new Fault('operation_timeout', 'Cannot snapshot: no answer'))
    machine.script.failNext('queryChains', new Fault('operation_timeout', 'Cannot query: no answer'))
    await expect(commands.createSnapshot(operator, snapshotOf(uuid, 's1'))).rejects.toThrow('no answer')
    expect(daemon.world.image('/images/web.s1')).not.toBeNull()
    expect([...host.unsettled]).toEqual([uuid])
    await reconcileAll(host)
    expect(daemon.world.image('/images/web.s1')).toBeNull()
    daemon.notes.length = 0
    await expectSettled(daemon)
  })

  test('claims its overlays: no other domain may start on them', async () => {
    const { daemon, commands, uuid } = await withOverlays(['s1'])
    const { uuid: other } = await commands.defineDomain(operator, {
      xml: definitionOf('thief', { disks: { vda: '/images/web.s1' } }),
      validate: false,
    })
    await expect(commands.startDomain(operator, { uuid: other, paused: false })).rejects.toThrow(
      `Cannot use image "/images/web.s1": domain ${uuid} has it`,
    )
    await expectSettled(daemon)
  })

  /** A snapshot of vda whose overlay is to be this file. */
  const onto = (uuid: string, name: string, path: string) =>
    snapshotOf(uuid, name, {
      reuseExternal: true,
      xml: `<domainsnapshot><name>${name}</name><disks><disk name='vda'><source file='${path}'/></disk></disks></domainsnapshot>`,
    })

  test('refuses an overlay that another running domain has, and one that is in its own chain', async () => {
    const { commands, uuid, host } = await withOverlays(['s1'])
    const { uuid: other } = await commands.defineDomain(operator, { xml: definitionOf('mail'), validate: false })
    await commands.startDomain(operator, { uuid: other, paused: false })
    const before = host.reads.claimsOf(uuid)
    await expect(commands.createSnapshot(operator, onto(uuid, 's2', '/images/mail.qcow2'))).rejects.toThrow(
      `Cannot use image "/images/mail.qcow2": domain ${other} has it`,
    )
    await expect(commands.createSnapshot(operator, onto(uuid, 's2', base))).rejects.toThrow(
      'is in the chain of disk "vda" already',
    )
    expect(host.reads.claimsOf(uuid)).toEqual(before)
  })

  test('refuses a name that is taken, an overlay that exists and a disk with a job', async () => {
    const { daemon, commands, uuid } = await withOverlays(['s1'])
    await expect(commands.createSnapshot(operator, onto(uuid, 's1', '/images/new'))).rejects.toThrow(
      'Cannot create snapshot "s1": a snapshot of that name exists already',
    )
    const image = { format: 'qcow2', virtualSizeBytes: 1n, backing: null, sizeBytes: 1n } as const
    daemon.world.createImage({ path: '/images/web.s3', ...image })
    await expect(commands.createSnapshot(operator, snapshotOf(uuid, 's3'))).rejects.toThrow(
      'the overlay "/images/web.s3" of disk "vda" exists already',
    )
    await commands.commitBlocks(operator, commitOf(uuid))
    await expect(commands.createSnapshot(operator, snapshotOf(uuid, 's4'))).rejects.toThrow(
      'disk "vda" has an active block job',
    )
  })

  test('of a domain that is off lets the next start use the overlay', async () => {
    const { daemon, commands, uuid } = await withOverlays([], { isOff: true })
    await commands.createSnapshot(operator, snapshotOf(uuid, 'cold'))
    expect(daemon.chain(uuid)).toEqual(['/images/web.cold', base])
    await commands.startDomain(operator, { uuid, paused: false })
    expect(await daemon.hypervisorChain(uuid)).toEqual(['/images/web.cold', base])
    await expectSettled(daemon)
  })

  test('makes the tree that deletions keep together', async () => {
    const { commands, host, uuid } = await withOverlays(['s1', 's2', 's3'])
    const tree = () =>
      Object.fromEntries(
        host.reads.snapshots(uuid).map((row) => [row.name, row.is_current ? `${row.parent}*` : row.parent]),
      )
    expect(tree()).toEqual({ s1: null, s2: 's1', s3: 's2*' })
    const remove = { uuid, children: false, childrenOnly: false, metadataOnly: true }
    await commands.deleteSnapshot(operator, { ...remove, name: 's2' })
    expect(tree()).toEqual({ s1: null, s3: 's1*' })
    await expect(commands.deleteSnapshot(operator, { ...remove, name: 'toString' })).rejects.toThrow(
      "no domain snapshot with matching name 'toString'",
    )
    await commands.deleteSnapshot(operator, { ...remove, name: 's1', childrenOnly: true })
    expect(tree()).toEqual({ s1: 'null*' })
    await expect(commands.deleteSnapshot(operator, { ...remove, name: 's1', metadataOnly: false })).rejects.toThrow(
      'only its record can be deleted yet',
    )
  })
})

describe('block jobs', () => {
  test('that are cancelled leave the chain, and name the images that are no longer valid', async () => {
    const { machine, daemon, commands, uuid } = await withOverlays(['s1', 's2'])
    await commands.commitBlocks(operator, commitOf(uuid))
    await machine.time.advance(1)
    const cancelled = commands.endBlockJob(operator, { uuid, disk: 'vda', pivot: false, wait: true })
    await machine.time.advance(1_000)
    await cancelled
    expect(daemon.chain(uuid)).toEqual(['/images/web.s2', '/images/web.s1', base])
    const last = machine.log.events.findLast((event) => event.type === 'BlockJobCancelled')
    expect(last === undefined ? null : decodeFact(last.type, last).data).toMatchObject({ invalid: ['/images/web.s1'] })
    await expectSettled(daemon)
  })

  test('of which an error ends one leave the chain', async () => {
    const { machine, daemon, commands, uuid } = await withOverlays(['s1'])
    const jobId = await commands.commitBlocks(pivoting, commitOf(uuid))
    daemon.driver.guests.failJob(uuid, jobId, 'No space left on device')
    await machine.time.advance(60_000)
    expect(daemon.rowsOf(uuid)).toMatchObject([{ state: 'failed', error: 'No space left on device' }])
    expect(daemon.chain(uuid)).toEqual(['/images/web.s1', base])
    await expectSettled(daemon)
  })

  test('pivot once: a second request, or a cancel afterwards, finds no job', async () => {
    const { machine, daemon, commands, uuid } = await withOverlays(['s1'])
    await commands.commitBlocks(operator, commitOf(uuid))
    const end = async (pivot: boolean) => await commands.endBlockJob(operator, { uuid, disk: 'vda', pivot, wait: true })
    const both = Promise.allSettled([end(true), end(true)])
    await machine.time.advance(60_000)
    expect((await both).map((one) => one.status)).toEqual(['fulfilled', 'fulfilled'])
    expect(machine.log.types().filter((type) => type === 'BlockJobPivotRequested')).toHaveLength(1)
    await expect(end(false)).rejects.toThrow('disk vda does not have an active block job')
    await expectSettled(daemon)
  })

  test('that are cancelled at any moment end as pivoted or as cancelled, and the chain is the one that the hypervisor has', async () => {
    const ends = new Set<string | undefined>()
    for (let step = 0; step < 60; step++) {
      const { machine, daemon, commands, uuid } = await withOverlays(['s1'])
      await commands.commitBlocks(pivoting, commitOf(uuid))
      // The job is ready at 250 ms; a step of its end takes 5 ms and many turns of promises.
      await machine.time.advance(240 + Math.floor(step / 3) * 2)
      const passing = machine.time.advance(60_000)
      for (let at = 0; at < (step % 3) * 12; at++) await Promise.resolve()
      const cancel = commands.endBlockJob(operator, { uuid, disk: 'vda', pivot: false, wait: false })
      await Promise.allSettled([cancel, passing])
      await machine.time.advance(60_000)
      expect(await daemon.hypervisorChain(uuid), `step ${step}`).toEqual(daemon.chain(uuid))
      const [row] = daemon.rowsOf(uuid)
      expect(daemon.chain(uuid).length, `step ${step}: ${row?.state}`).toBe(row?.state === 'pivoted' ? 1 : 2)
      ends.add(row?.state)
      await expectSettled(daemon)
    }
    expect(ends).toEqual(new Set(['cancelled', 'pivoted']))
  })

  test('that the hypervisor takes although its answer came too late are carried on', async () => {
    const { machine, daemon, commands, uuid } = await withOverlays(['s1'])
    const { driver } = daemon
    const take = driver.startBlockJob.bind(driver)
    Object.defineProperty(daemon.driver, 'startBlockJob', {
      configurable: true,
      value: async (...args: Parameters<typeof take>) => {
        await take(...args)
        throw new Fault('operation_timeout', 'Cannot start the job: no answer')
      },
    })
    await expect(commands.commitBlocks(pivoting, commitOf(uuid))).rejects.toThrow('no answer')
    await machine.time.advance(60_000)
    expect(daemon.chain(uuid)).toEqual([base])
    await reconcileAll(daemon.host)
    await expectSettled(daemon)
  })

  test('are looked at once more, not once for everybody, by many who ask at the same time', async () => {
    const { machine, daemon, commands, uuid } = await withOverlays(['s1'])
    const jobId = await commands.commitBlocks(operator, commitOf(uuid))
    await machine.time.advance(60_000)
    let looks = 0
    const query = daemon.driver.queryJobs.bind(daemon.driver)
    daemon.driver.queryJobs = async (...args) => {
      looks++
      return await query(...args)
    }
    await Promise.all(Array.from({ length: 50 }, async () => await daemon.runner.noticed(uuid, jobId)))
    expect(looks).toBe(2)
    await daemon.runner.noticed(uuid, jobId)
    expect(looks).toBe(3)
  })

  test('that the hypervisor refuses end as failed at once', async () => {
    const { machine, daemon, commands, uuid } = await withOverlays(['s1'])
    machine.script.failNext('startBlockJob', new Fault('operation_failed', 'Cannot start the job: no'))
    await expect(commands.commitBlocks(operator, commitOf(uuid))).rejects.toThrow('Cannot start the job: no')
    expect(daemon.rowsOf(uuid)).toMatchObject([{ state: 'failed' }])
    await expectSettled(daemon)
  })

  test('two of one disk are refused, two of two disks run side by side', async () => {
    const machine = new FakeMachine()
    const daemon = machine.boot()
    const { commands } = daemon
    const disks = { vda: base, vdb: '/images/data.qcow2' }
    const { uuid } = await commands.defineDomain(operator, { xml: definitionOf('web', { disks }), validate: false })
    await commands.startDomain(operator, { uuid, paused: false })
    await commands.createSnapshot(operator, snapshotOf(uuid, 's1'))
    await Promise.all([
      commands.commitBlocks(pivoting, commitOf(uuid)),
      commands.commitBlocks(pivoting, commitOf(uuid, { disk: 'vdb' })),
    ])
    await expect(commands.commitBlocks(operator, commitOf(uuid))).rejects.toThrow(
      'disk "vda" already has an active block job',
    )
    await machine.time.advance(60_000)
    expect([daemon.chain(uuid), daemon.chain(uuid, 'vdb')]).toEqual([[base], ['/images/data.qcow2']])
    await expectSettled(daemon)
    const definition = await daemon.host.texts.definition(
      daemon.host.reads.byUuid(uuid)?.definition?.definition_sha256 ?? '',
    )
    expect(definition.devices.disks.map((disk) => disk.source?.file)).toEqual([base, '/images/data.qcow2'])
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
