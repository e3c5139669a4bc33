import { describe, expect, test } from 'vitest'
import { reconcileAll } from '../../src/commands/reconcile.ts'
import { Fault } from '../../src/util/fault.ts'
import { commitOf, definitionOf, FakeMachine, operator, snapshotOf } from '../support/fake-host.ts'
import { expectSettled } from '../support/settled.ts'
import { withOverlays } from '../support/with-overlays.ts'

const base = '/images/web.qcow2'

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

  test('hangs the new snapshot below what is current when it is made, though its parent was deleted meanwhile', async () => {
    const machine = new FakeMachine()
    const remove = { children: false, childrenOnly: false, metadataOnly: true }
    const daemon = machine.boot({
      at: async (point, { commands, host }) => {
        const [uuid] = host.reads.domains().map((view) => view.uuid)
        if (point !== 'snapshot.files' || uuid === undefined || host.reads.snapshots(uuid).length < 2) return
        await commands.deleteSnapshot(operator, { uuid, name: 's2', ...remove })
      },
    })
    const { commands, host } = daemon
    const { uuid } = await commands.defineDomain(operator, { xml: definitionOf('web'), validate: false })
    for (const name of ['s1', 's2', 's3']) await commands.createSnapshot(operator, snapshotOf(uuid, name))
    expect(host.reads.snapshots(uuid).map((row) => [row.name, row.parent])).toEqual([
      ['s1', null],
      ['s3', 's1'],
    ])
    await commands.deleteSnapshot(operator, { uuid, name: 's3', ...remove })
    expect(host.reads.snapshots(uuid)).toMatchObject([{ name: 's1', is_current: true }])
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
