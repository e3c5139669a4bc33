import { describe, expect, test } from 'vitest'
import { commitOf, definitionOf, FakeMachine, operator, snapshotOf } from '../support/fake-host.ts'

describe('commands, from definition to the end', () => {
  test('define, start, snapshot, commit with pivot, destroy and undefine leave the rows, the world and the log in agreement', async () => {
    const machine = new FakeMachine()
    const daemon = machine.boot()
    const { commands, host } = daemon
    const { uuid } = await commands.defineDomain(operator, { xml: definitionOf('web'), validate: false })
    expect(host.reads.byName('web')).toMatchObject({ uuid, id: -1, active: false })

    await expect(commands.startDomain(operator, { uuid, paused: false })).resolves.toEqual({ uuid, name: 'web', id: 1 })
    await machine.time.advance(10)
    expect(host.reads.byId(1)?.run).toMatchObject({ state: 'running', reason: 'booted' })
    expect(daemon.chain(uuid)).toEqual(['/images/web.qcow2'])

    await expect(commands.createSnapshot(operator, snapshotOf(uuid, 's1'))).resolves.toBe('s1')
    expect(daemon.chain(uuid)).toEqual(['/images/web.s1', '/images/web.qcow2'])
    expect(await daemon.hypervisorChain(uuid)).toEqual(daemon.chain(uuid))
    expect(host.reads.snapshots(uuid)).toMatchObject([{ name: 's1', parent: null, is_current: true }])

    const jobId = await commands.commitBlocks(operator, commitOf(uuid))
    await machine.time.advance(60_000)
    expect(host.reads.jobs(uuid)).toMatchObject([{ job_id: jobId, state: 'ready' }])
    const pivoted = commands.endBlockJob(operator, { uuid, disk: 'vda', pivot: true, wait: true })
    await machine.time.advance(60_000)
    await pivoted
    expect(daemon.chain(uuid)).toEqual(['/images/web.qcow2'])
    expect(await daemon.hypervisorChain(uuid)).toEqual(daemon.chain(uuid))
    expect(host.reads.jobs(uuid)).toEqual([])

    await commands.destroyDomain(operator, { uuid, graceful: false })
    await commands.undefineDomain(operator, { uuid, dropSnapshots: true })
    expect(host.reads.domains()).toEqual([])
    expect(host.reads.claimsOf(uuid)).toEqual([])
    expect(host.reads.openIntents()).toEqual([])
    expect(machine.log.types(`domain-${uuid}`)).toMatchInlineSnapshot(`
      [
        "DomainDefined",
        "BackingChainDetected",
        "DomainStartRequested",
        "DomainStarted",
        "SnapshotRequested",
        "SnapshotCreated",
        "DomainDefinitionFollowed",
        "BlockJobRequested",
        "BlockJobStarted",
        "BlockJobReady",
        "BlockJobPivotRequested",
        "BlockJobPivoting",
        "BlockJobPivoted",
        "DomainDefinitionFollowed",
        "DomainDestroyRequested",
        "DomainDestroyed",
        "DomainUndefined",
        "DomainForgotten",
      ]
    `)
  })
})
