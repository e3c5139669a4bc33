import { describe, expect, test } from 'vitest'
import { claimsTable } from '../../projections/claims.ts'
import { reconcileAll } from '../../src/commands/reconcile.ts'
import { TestImages } from '../../src/testdriver/test-images.ts'
import { TestWorld } from '../../src/testdriver/test-world.ts'
import { Fault } from '../../src/util/fault.ts'
import { callerOf, commitOf, definitionOf, FakeMachine, operator, snapshotOf } from '../support/fake-host.ts'
import { expectSettled } from '../support/settled.ts'

const otherUuid = '11111111-2222-4333-8444-555555555555'

/** A booted daemon with one defined domain, `web`. */
async function withWeb(options: Parameters<typeof definitionOf>[1] = {}) {
  const machine = new FakeMachine()
  const daemon = machine.boot()
  const { commands } = daemon
  const { uuid } = await commands.defineDomain(operator, { xml: definitionOf('web', options), validate: false })
  return { machine, daemon, commands, uuid, host: daemon.host }
}

describe('defineDomain()', () => {
  test('keeps what was sent and what was made of it, judged by one capability version', async () => {
    const { machine, host, uuid } = await withWeb()
    const row = host.reads.byUuid(uuid)?.definition
    expect(await host.texts.get(row?.submitted_sha256 ?? '')).toBe(definitionOf('web'))
    expect((await host.texts.definition(row?.definition_sha256 ?? '')).uuid).toBe(uuid)
    expect(row?.caps_id).toBe(host.reads.emulator('test')?.caps_id)
    expect(machine.log.types()).toEqual(['EmulatorProbed', 'ClaimTaken', 'DomainDefined'])
  })

  test('replaces the definition of the same name or UUID, and refuses another name or another UUID', async () => {
    const { machine, commands, uuid } = await withWeb()
    const define = async (xml: string) => await commands.defineDomain(operator, { xml, validate: false })
    await expect(define(definitionOf('web', { uuid }))).resolves.toMatchObject({ uuid })
    await expect(define(definitionOf('web'))).resolves.toMatchObject({ uuid })
    await expect(define(definitionOf('web', { uuid: otherUuid }))).rejects.toThrow(
      `domain 'web' already exists with uuid ${uuid}`,
    )
    await expect(define(definitionOf('mail', { uuid }))).rejects.toThrow(
      `domain 'web' is already defined with uuid ${uuid}`,
    )
    expect(machine.log.types('refusals-1000')).toEqual(['CommandRefused', 'CommandRefused'])
    expect(machine.log.types(`domain-${uuid}`)).toEqual(['DomainDefined', 'DomainDefined', 'DomainDefined'])
  })

  test('gives one of two definitions of the same name that come at once', async () => {
    const machine = new FakeMachine()
    const { commands, host } = machine.boot()
    const define = async (uuid: string) =>
      await commands.defineDomain(operator, { xml: definitionOf('web', { uuid }), validate: false })
    const both = await Promise.allSettled([define(otherUuid), define('99999999-2222-4333-8444-555555555555')])
    expect(both.map((one) => one.status).toSorted()).toEqual(['fulfilled', 'rejected'])
    expect(host.reads.domains()).toHaveLength(1)
  })

  test('refuses malformed documents, and records the refusal without changing anything', async () => {
    const machine = new FakeMachine()
    const { commands, host } = machine.boot()
    await expect(commands.defineDomain(operator, { xml: '<domain/><domain/>', validate: false })).rejects.toThrow(Fault)
    expect(machine.log.types()).toEqual(['CommandRefused'])
    expect(host.reads.domains()).toEqual([])
  })

  test('refuses a name that is too long to be recorded, in words, and records the refusal', async () => {
    const { machine, commands, host } = await withWeb()
    const xml = definitionOf('x'.repeat(600), { disks: {} })
    await expect(commands.defineDomain(operator, { xml, validate: false })).rejects.toMatchObject({
      kind: 'invalid_arg',
      message: expect.stringContaining('the stream name has 605 bytes'),
    })
    expect(machine.log.types().slice(-1)).toEqual(['CommandRefused'])
    expect(host.reads.domains()).toHaveLength(1)
  })

  test('keeps a name like 007 as it is', async () => {
    const machine = new FakeMachine()
    const { commands, host } = machine.boot()
    await commands.defineDomain(operator, { xml: definitionOf('007'), validate: false })
    expect(host.reads.byName('007')?.name).toBe('007')
    expect(host.reads.byName('7')).toBeNull()
  })
})

describe('startDomain()', () => {
  test('refuses a disk that another running domain writes to, naming it, and claims nothing', async () => {
    const { daemon, commands, uuid, host } = await withWeb()
    await commands.startDomain(operator, { uuid, paused: false })
    const { uuid: other } = await commands.defineDomain(operator, {
      xml: definitionOf('copy', { disks: { vda: '/images/own.qcow2', vdb: '/images/web.qcow2' } }),
      validate: false,
    })
    await expect(commands.startDomain(operator, { uuid: other, paused: false })).rejects.toThrow(
      `Cannot use image "/images/web.qcow2": domain ${uuid} has it`,
    )
    expect(host.reads.claimsOf(other).map((claim) => claim.kind)).toEqual(['name'])
    await commands.destroyDomain(operator, { uuid, graceful: false })
    await commands.startDomain(operator, { uuid: other, paused: false })
    await expectSettled(daemon)
  })

  test('lets two domains share a base image that both only read', async () => {
    const { daemon, commands, uuid } = await withWeb({ disks: { vda: '/images/web-top.qcow2' } })
    for (const top of ['/images/web-top.qcow2', '/images/mail-top.qcow2']) {
      const backing = { path: '/images/base.qcow2', format: 'qcow2' } as const
      daemon.world.createImage({ path: top, format: 'qcow2', virtualSizeBytes: 1n << 30n, backing, sizeBytes: 1n })
    }
    const { uuid: mail } = await commands.defineDomain(operator, {
      xml: definitionOf('mail', { disks: { vda: '/images/mail-top.qcow2' } }),
      validate: false,
    })
    await commands.startDomain(operator, { uuid, paused: false })
    await commands.startDomain(operator, { uuid: mail, paused: false })
    expect(daemon.chain(mail)).toEqual(['/images/mail-top.qcow2', '/images/base.qcow2'])
    // What both read, none may write to.
    await expect(commands.commitBlocks(operator, commitOf(uuid))).rejects.toThrow(
      `Cannot use image "/images/base.qcow2": domain ${mail} has it as part of a backing chain`,
    )
    await commands.destroyDomain(operator, { uuid: mail, graceful: false })
    await commands.commitBlocks(operator, commitOf(uuid))
    await expect(commands.startDomain(operator, { uuid: mail, paused: false })).rejects.toThrow('/images/base.qcow2')
  })

  test('starts a domain once when it is asked for twice at once', async () => {
    const { daemon, commands, uuid, machine } = await withWeb()
    const both = await Promise.allSettled([
      commands.startDomain(operator, { uuid, paused: false }),
      commands.startDomain(callerOf(1001), { uuid, paused: false }),
    ])
    expect(both[0].status).toBe('fulfilled')
    expect(both[1]).toMatchObject({ status: 'rejected', reason: { message: 'domain is already running' } })
    expect(machine.log.types().filter((type) => type === 'DomainStartRequested')).toHaveLength(1)
    await expectSettled(daemon)
  })

  test('gives domains that start at once different numbers and VNC ports', async () => {
    const { commands, host, daemon } = await withWeb()
    const names = ['a', 'b', 'c', 'd', 'e', 'f']
    const defined = await Promise.all(
      names.map(async (name) => {
        const xml = definitionOf(name, { devices: "<graphics type='vnc' autoport='yes'/>" })
        return await commands.defineDomain(operator, { xml, validate: false })
      }),
    )
    await Promise.all(defined.map(async ({ uuid }) => await commands.startDomain(operator, { uuid, paused: false })))
    const running = host.reads.running()
    expect(running.every((row) => /^\[59\d\d\]$/.test(row.vnc_ports))).toBe(true)
    expect(new Set(running.map((row) => row.vnc_ports)).size).toBe(names.length)
    expect(new Set(running.map((row) => row.domain_id)).size).toBe(names.length)
    await expectSettled(daemon)
  })

  test('chooses another VNC port when the chosen one was taken before it was claimed', async () => {
    const machine = new FakeMachine()
    const world = new TestWorld({ store: machine.store, bootId: machine.bootId, timers: machine.time })
    const images = new TestImages(world)
    const daemon = machine.boot({ images })
    const { commands, host } = daemon
    const define = async (name: string) => {
      const xml = definitionOf(name, { devices: "<graphics type='vnc' autoport='yes'/>" })
      return (await commands.defineDomain(operator, { xml, validate: false })).uuid
    }
    const [first, second] = [await define('first'), await define('second')]
    let isTaken = false
    images.planAccess = async () => {
      // The port of the first one is chosen, and not claimed yet.
      if (!isTaken) {
        isTaken = true
        await commands.startDomain(operator, { uuid: second, paused: false })
      }
      return []
    }
    await commands.startDomain(operator, { uuid: first, paused: false })
    const ports = [first, second].map((uuid) => host.reads.byUuid(uuid)?.run?.vnc_ports)
    expect(new Set(ports).size).toBe(2)
    await expectSettled(daemon)
  })

  test('refuses a stated VNC port that another domain has', async () => {
    const { commands, uuid } = await withWeb({ devices: "<graphics type='vnc' port='5990' autoport='no'/>" })
    const xml = definitionOf('mail', { devices: "<graphics type='vnc' port='5990' autoport='no'/>" })
    const { uuid: mail } = await commands.defineDomain(operator, { xml, validate: false })
    await commands.startDomain(operator, { uuid, paused: false })
    await expect(commands.startDomain(operator, { uuid: mail, paused: false })).rejects.toThrow(
      `Cannot use port "5990": domain ${uuid} has it`,
    )
  })

  test('leaves nothing claimed, granted or running when the hypervisor cannot start it', async () => {
    const { machine, daemon, commands, uuid, host } = await withWeb()
    machine.script.failNext('start', new Fault('operation_failed', 'Cannot start: no memory'))
    await expect(commands.startDomain(operator, { uuid, paused: false })).rejects.toThrow('no memory')
    expect(host.reads.byUuid(uuid)).toMatchObject({ active: false, run: { state: 'shutoff', reason: 'failed' } })
    await expectSettled(daemon)
    // An outcome of an accepted command is no refusal.
    expect(machine.log.types()).not.toContain('CommandRefused')
    await commands.startDomain(operator, { uuid, paused: false })
    await expectSettled(daemon)
  })

  test('says that the process is there when only its CPUs could not be let run, and leaves it to be settled', async () => {
    const { machine, daemon, commands, uuid, host } = await withWeb()
    machine.script.failNext('resume', new Fault('operation_failed', 'Cannot continue: busy'))
    await expect(commands.startDomain(operator, { uuid, paused: false })).rejects.toThrow(
      'Domain "web" has a process, but its CPUs could not be let run: Cannot continue: busy',
    )
    expect([...host.unsettled]).toEqual([uuid])
    await reconcileAll(host)
    expect(daemon.world.machine(uuid)?.cpus).toBe('running')
    await expectSettled(daemon)
  })

  test('refuses a domain that nobody knows, and one that runs', async () => {
    const { commands, uuid } = await withWeb()
    await expect(commands.startDomain(operator, { uuid: otherUuid, paused: false })).rejects.toThrow(
      `no domain with matching uuid '${otherUuid}'`,
    )
    await commands.startDomain(operator, { uuid, paused: true })
    await expect(commands.startDomain(operator, { uuid, paused: false })).rejects.toThrow('domain is already running')
  })
})

describe('undefineDomain()', () => {
  test('leaves a running domain with its chain, snapshots and name until its run ends', async () => {
    const { machine, daemon, commands, uuid, host } = await withWeb()
    await commands.startDomain(operator, { uuid, paused: false })
    await commands.createSnapshot(operator, snapshotOf(uuid, 's1'))
    await commands.undefineDomain(operator, { uuid, dropSnapshots: false })
    expect(host.reads.byName('web')).toMatchObject({ uuid, active: true, definition: null })
    expect(daemon.chain(uuid)).toEqual(['/images/web.s1', '/images/web.qcow2'])
    expect(host.reads.snapshots(uuid)).toHaveLength(1)
    await expectSettled(daemon)
    await expect(commands.setAutostart(operator, { uuid, autostart: true })).rejects.toThrow(
      'cannot set autostart for transient domain',
    )
    await expect(
      commands.defineDomain(operator, { xml: definitionOf('other', { uuid }), validate: false }),
    ).rejects.toThrow(`domain 'web' is already defined with uuid ${uuid}`)
    await commands.commitBlocks(callerOf(1000, { onReady: 'pivot' }), commitOf(uuid))
    await machine.time.advance(60_000)
    expect(daemon.chain(uuid)).toEqual(['/images/web.qcow2'])

    await commands.destroyDomain(operator, { uuid, graceful: false })
    expect(host.reads.domains()).toEqual([])
    expect(host.reads.snapshots(uuid)).toEqual([])
    expect([...daemon.models.rows(claimsTable).all()]).toEqual([])
    expect(daemon.chain(uuid)).toEqual([])
    await expectSettled(daemon)
  })

  test('refuses while snapshots are recorded, unless they go too', async () => {
    const { daemon, commands, uuid, host } = await withWeb()
    await commands.createSnapshot(operator, snapshotOf(uuid, 's1'))
    await expect(commands.undefineDomain(operator, { uuid, dropSnapshots: false })).rejects.toThrow(
      'cannot delete inactive domain with 1 snapshots',
    )
    await commands.undefineDomain(operator, { uuid, dropSnapshots: true })
    expect(host.reads.domains()).toEqual([])
    expect(daemon.chain(uuid)).toEqual([])
    await expectSettled(daemon)
  })

  test('gives name and UUID back to whoever defines them next', async () => {
    const { daemon, commands, uuid } = await withWeb()
    await commands.undefineDomain(operator, { uuid, dropSnapshots: false })
    await commands.defineDomain(operator, { xml: definitionOf('web', { uuid: otherUuid }), validate: false })
    await commands.defineDomain(operator, { xml: definitionOf('mail', { uuid }), validate: false })
    await expectSettled(daemon)
  })
})

describe('a domain that runs', () => {
  test('is suspended, resumed, reset and asked to power down; its end comes from the guest', async () => {
    const { machine, daemon, commands, uuid, host } = await withWeb()
    await commands.startDomain(operator, { uuid, paused: false })
    await machine.time.advance(1)
    await commands.suspendDomain(operator, uuid)
    await commands.suspendDomain(operator, uuid)
    expect(host.reads.byUuid(uuid)?.run).toMatchObject({ state: 'paused', reason: 'user' })
    await commands.resumeDomain(operator, uuid)
    await expect(commands.resumeDomain(operator, uuid)).rejects.toThrow('domain is already running')
    await commands.resetDomain(operator, uuid)
    await commands.shutdownDomain(operator, uuid)
    await machine.time.advance(10_000)
    expect(host.reads.byUuid(uuid)).toMatchObject({ active: false, run: { state: 'shutoff', reason: 'shutdown' } })
    await expect(commands.suspendDomain(operator, uuid)).rejects.toThrow('domain is not running')
    await expectSettled(daemon)
    const own = machine.log.types(`domain-${uuid}`).slice(-8)
    expect(own).toEqual([
      'DomainSuspended',
      'DomainResumeRequested',
      'DomainResumed',
      'DomainResetRequested',
      'DomainReset',
      'DomainShutdownRequested',
      'DomainPowerButtonPressed',
      'DomainShutOff',
    ])
  })

  test('that crashes gives its images back', async () => {
    const { machine, daemon, commands, uuid, host } = await withWeb()
    await commands.startDomain(operator, { uuid, paused: false })
    daemon.driver.guests.crash(uuid)
    await machine.time.advance(0)
    expect(host.reads.byUuid(uuid)).toMatchObject({ active: false, run: { state: 'shutoff', reason: 'crashed' } })
    await expectSettled(daemon)
  })

  test('keeps a definition that a client changed while the outcome of a job was worked out', async () => {
    const disks = { vda: '/images/web.qcow2', vdb: '/data.qcow2' }
    const { machine, daemon, commands, uuid, host } = await withWeb({ disks })
    await commands.startDomain(operator, { uuid, paused: false })
    await commands.createSnapshot(operator, snapshotOf(uuid, 's1'))
    await commands.commitBlocks(operator, commitOf(uuid))
    await machine.time.advance(60_000)
    // The definition that follows the pivot is made from the one that is read here.
    const read = host.texts.definition.bind(host.texts)
    const changed = definitionOf('web', { uuid, disks: { vda: '/images/web.s1', vdb: '/changed.qcow2' } })
    let isChanged = false
    host.texts.definition = async (sha256) => {
      const definition = await read(sha256)
      if (!isChanged) {
        isChanged = true
        await commands.defineDomain(operator, { xml: changed, validate: false })
      }
      return definition
    }
    await commands.endBlockJob(operator, { uuid, disk: 'vda', pivot: true, wait: false })
    await machine.time.advance(60_000)
    expect(isChanged).toBe(true)
    const definition = await read(host.reads.byUuid(uuid)?.definition?.definition_sha256 ?? '')
    const files = definition.devices.disks.map((disk) => disk.source?.file)
    expect(files).toEqual(['/images/web.qcow2', '/changed.qcow2'])
    expect(daemon.chain(uuid)).toEqual(['/images/web.qcow2'])
    await expectSettled(daemon)
  })
})

describe('reconcileAll()', () => {
  test('leaves alone what a command is at, and settles it when the command is done', async () => {
    const machine = new FakeMachine()
    const during: Promise<void>[] = []
    const daemon = machine.boot({
      at: (point, self) => {
        // As when the log comes back while a start is under way.
        if (point === 'start.requested' || point === 'start.spawned') during.push(reconcileAll(self.host))
      },
    })
    const { uuid } = await daemon.commands.defineDomain(operator, { xml: definitionOf('web'), validate: false })
    await daemon.commands.startDomain(operator, { uuid, paused: false })
    expect(during).toHaveLength(2)
    await Promise.all(during)
    expect(daemon.host.reads.byUuid(uuid)?.run?.state).toBe('running')
    expect(machine.log.types()).not.toContain('DomainStartFailed')
    await expectSettled(daemon)
  })

  test('leaves a domain whose monitor is silent unsettled, and settles it when it answers', async () => {
    const { machine, daemon, commands, uuid } = await withWeb()
    await commands.startDomain(operator, { uuid, paused: false })
    machine.script.silence(uuid, machine.time.nowMs())
    const next = await daemon.restarted()
    expect([...next.host.unsettled]).toEqual([uuid])
    machine.script.endSilence(uuid)
    await reconcileAll(next.host)
    await expectSettled(next)
  })
})
