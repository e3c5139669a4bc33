import { readdir, readFile, readlink } from 'node:fs/promises'
import { kill } from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DiskLayer, HypervisorJobStatus, StartRequest } from '../../src/driver/driver.ts'
import { makeGuestDisk, verifyGuestWrites } from '../support/guest-disk.ts'
import { diskXml, never, QemuKit, smallXml } from '../support/qemu-kit.ts'
import { requireTool } from '../support/require-tool.ts'

const present = requireTool('qemu-system-x86') && requireTool('qemu-utils')
const uuid = '00000000-0000-4000-8000-0000000000b1'
const sizeBytes = 64n * 1024n * 1024n

describe.skipIf(!present)('block jobs and snapshots on real QEMU', () => {
  let kit: QemuKit
  let request: StartRequest
  let vda: DiskLayer
  let vdb: DiskLayer

  beforeEach(async () => {
    kit = await QemuKit.open()
    vda = { index: 1, path: kit.image('vda.qcow2'), format: 'qcow2' }
    vdb = { index: 2, path: kit.image('vdb.raw'), format: 'raw' }
    await makeGuestDisk(vda.path, { pace: 'slow', ballastMb: 8 })
    await makeGuestDisk(vdb.path, { pace: 'idle', format: 'raw' })
    const driver = "cache='none' discard='unmap'"
    const devices = diskXml(vda.path, { driver }) + diskXml(vdb.path, { target: 'vdb', format: 'raw' })
    const disks = [
      { target: 'vda', readOnly: false, layers: [vda] },
      { target: 'vdb', readOnly: false, layers: [vdb] },
    ]
    request = await kit.request(smallXml({ name: 'blocks', uuid, devices }), disks)
    await kit.start(request)
    await written(4n)
  })
  afterEach(async () => {
    await kit[Symbol.asyncDispose]()
  })

  /** Waits until the guest has written more than it had, by so many requests. */
  async function written(more: bigint): Promise<void> {
    const count = async (): Promise<bigint> => (await kit.driver.sample(uuid, never)).disks[0]?.writeRequests ?? 0n
    const before = await count()
    for (let tries = 0; tries < 400; tries += 1) {
      if ((await count()) >= before + more) return
      await sleep(25)
    }
    throw new Error('the guest does not write')
  }

  async function overlay(
    on: DiskLayer,
    { index, name }: { readonly index: number; readonly name: string },
  ): Promise<DiskLayer> {
    const path = kit.image(name)
    const backing = { path: on.path, format: on.format }
    await kit.images.createOverlay({ path, virtualSizeBytes: sizeBytes, backing, reuseExternal: false }, never)
    return { index, path, format: 'qcow2' }
  }

  async function snapshot(on: DiskLayer, at: { readonly index: number; readonly name: string }): Promise<DiskLayer> {
    const made = await overlay(on, at)
    await kit.driver.snapshotDisks(uuid, [{ target: 'vda', active: on, overlay: made }], never)
    await written(4n)
    return made
  }

  const chainOf = async (target: string): Promise<readonly string[]> => {
    const chains = await kit.driver.queryChains(uuid, never)
    return chains.find((chain) => chain.target === target)?.layers.map(({ path }) => path) ?? []
  }
  const jobIs = async (status: HypervisorJobStatus): Promise<void> => {
    await kit.fact((fact) => fact.kind === 'jobChanged' && fact.jobId === 'job' && fact.status === status)
  }
  const powerOff = async (): Promise<void> => {
    await kit.driver.shutdown(uuid, never)
    await kit.fact((fact) => fact.kind === 'ended')
  }
  const pidOfQemu = (): number => kit.processes.list().find((pid) => kit.processes.commandLine(pid).includes(uuid)) ?? 0
  const openFiles = async (path: string): Promise<boolean> => {
    const pid = pidOfQemu()
    const links = (await readdir(`/proc/${pid}/fd`)).map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => ''))
    return (await Promise.all(links)).includes(path)
  }

  test('snapshotDisks() puts overlays on two disks at once, and both keep what the guest writes', async () => {
    const [onVda, onVdb] = [
      await overlay(vda, { index: 3, name: 'vda.s1' }),
      await overlay(vdb, { index: 4, name: 'vdb.s1' }),
    ]
    const disks = [
      { target: 'vda', active: vda, overlay: onVda },
      { target: 'vdb', active: vdb, overlay: onVdb },
    ]
    await kit.driver.snapshotDisks(uuid, disks, never)
    expect(await kit.driver.queryChains(uuid, never)).toEqual([
      {
        target: 'vda',
        layers: [
          { node: 'layer-3', path: onVda.path, format: 'qcow2' },
          { node: 'layer-1', path: vda.path, format: 'qcow2' },
        ],
      },
      {
        target: 'vdb',
        layers: [
          { node: 'layer-4', path: onVdb.path, format: 'qcow2' },
          { node: 'layer-2', path: vdb.path, format: 'raw' },
        ],
      },
    ])
    await written(6n)
    await powerOff()
    const [base, top] = [await verifyGuestWrites(vda.path), await verifyGuestWrites(onVda.path)]
    expect(top.count).toBeGreaterThan(base.count)
    expect(top.lost).toEqual([])
  })

  test('snapshotDisks() changes no disk when one of them cannot, and leaves no node behind', async () => {
    const good = await overlay(vda, { index: 3, name: 'vda.s1' })
    const absent: DiskLayer = { index: 4, path: kit.image('absent'), format: 'qcow2' }
    const disks = [
      { target: 'vda', active: vda, overlay: good },
      { target: 'vdb', active: vdb, overlay: absent },
    ]
    await expect(kit.driver.snapshotDisks(uuid, disks, never)).rejects.toThrow(/absent.*No such file/)
    expect([await chainOf('vda'), await chainOf('vdb')]).toEqual([[vda.path], [vdb.path]])
    await kit.driver.snapshotDisks(uuid, [{ target: 'vda', active: vda, overlay: good }], never)
    expect(await chainOf('vda')).toEqual([good.path, vda.path])
  })

  test('a pull without base stops before its end, then makes the top stand alone', async () => {
    const s1 = await snapshot(vda, { index: 3, name: 'vda.s1' })
    const s2 = await snapshot(s1, { index: 5, name: 'vda.s2' })
    await kit.driver.startBlockJob(
      uuid,
      { kind: 'pull', jobId: 'job', target: 'vda', top: s2, base: null, bytesPerSecond: 0n },
      never,
    )
    await jobIs('pending')
    expect(await chainOf('vda')).toEqual([s2.path, s1.path, vda.path])
    await kit.driver.finalizeJob(uuid, 'job', never)
    await kit.driver.dismissJob(uuid, 'job', never)
    expect(await chainOf('vda')).toEqual([s2.path])
    expect([await openFiles(vda.path), await openFiles(s1.path), await openFiles(s2.path)]).toEqual([
      false,
      false,
      true,
    ])
    await powerOff()
    expect((await kit.images.readChain({ given: [s2], terminated: false }, never)).map(({ path }) => path)).toEqual([
      s2.path,
    ])
    expect((await verifyGuestWrites(s2.path)).lost).toEqual([])
  })

  test('a pull down to a base writes that base into the header of the top', async () => {
    const s1 = await snapshot(vda, { index: 3, name: 'vda.s1' })
    const s2 = await snapshot(s1, { index: 5, name: 'vda.s2' })
    await kit.driver.startBlockJob(
      uuid,
      { kind: 'pull', jobId: 'job', target: 'vda', top: s2, base: vda, bytesPerSecond: 0n },
      never,
    )
    await jobIs('pending')
    await kit.driver.finalizeJob(uuid, 'job', never)
    await kit.driver.dismissJob(uuid, 'job', never)
    expect(await chainOf('vda')).toEqual([s2.path, vda.path])
    await powerOff()
    const chain = await kit.images.readChain({ given: [s2], terminated: false }, never)
    expect(chain.map(({ path, format }) => ({ path, format }))).toEqual([
      { path: s2.path, format: 'qcow2' },
      { path: vda.path, format: 'qcow2' },
    ])
    expect((await verifyGuestWrites(s2.path)).lost).toEqual([])
  })

  test('an inactive commit takes the middle out and rewrites the header above it', async () => {
    const s1 = await snapshot(vda, { index: 3, name: 'vda.s1' })
    const s2 = await snapshot(s1, { index: 5, name: 'vda.s2' })
    await kit.driver.startBlockJob(
      uuid,
      { kind: 'commit', jobId: 'job', target: 'vda', active: s2, top: s1, base: vda, bytesPerSecond: 0n },
      never,
    )
    await jobIs('pending')
    await kit.driver.finalizeJob(uuid, 'job', never)
    await kit.driver.dismissJob(uuid, 'job', never)
    expect(await chainOf('vda')).toEqual([s2.path, vda.path])
    await powerOff()
    const chain = await kit.images.readChain({ given: [s2], terminated: false }, never)
    expect(chain.map(({ path }) => path)).toEqual([s2.path, vda.path])
    expect((await verifyGuestWrites(s2.path)).lost).toEqual([])
  })

  test('an active commit holds the writes in PENDING, pivots at finalize, and is found by another driver in between', async () => {
    const s1 = await snapshot(vda, { index: 3, name: 'vda.s1' })
    await kit.driver.startBlockJob(
      uuid,
      { kind: 'active_commit', jobId: 'job', target: 'vda', top: s1, base: vda, bytesPerSecond: 0n },
      never,
    )
    await jobIs('ready')
    expect(await chainOf('vda')).toEqual([s1.path, vda.path])
    await kit.driver.completeJob(uuid, 'job', never)
    expect(await kit.driver.queryJobs(uuid, never)).toMatchObject([{ jobId: 'job', status: 'pending', error: null }])

    const pid = pidOfQemu()
    const process = kit.processes.find(pid)
    if (process === null) throw new Error('QEMU is gone')
    await kit.driver.detach()
    const monitorPath = `${kit.directory}/run/${uuid}/monitor.sock`
    const again = await kit.driver.reattach({ uuid, name: 'blocks', process, monitorPath }, never)
    expect(again).toMatchObject({ kind: 'running', state: 'running', jobs: [{ jobId: 'job', status: 'pending' }] })

    await kit.driver.finalizeJob(uuid, 'job', never)
    expect(await kit.driver.queryJobs(uuid, never)).toMatchObject([{ jobId: 'job', status: 'concluded', error: null }])
    await kit.driver.dismissJob(uuid, 'job', never)
    expect(await kit.driver.queryJobs(uuid, never)).toEqual([])
    expect(await chainOf('vda')).toEqual([vda.path])
    expect(await openFiles(s1.path)).toBe(false)
    await written(6n)
    await powerOff()
    const writes = await verifyGuestWrites(vda.path)
    expect(writes.lost).toEqual([])
    expect(writes.count).toBeGreaterThan((await verifyGuestWrites(s1.path)).count)
  })

  test.each(['ready', 'pending'] as const)('cancelJob() at %s leaves the chain as it was', async (phase) => {
    const s1 = await snapshot(vda, { index: 3, name: 'vda.s1' })
    await kit.driver.startBlockJob(
      uuid,
      { kind: 'active_commit', jobId: 'job', target: 'vda', top: s1, base: vda, bytesPerSecond: 0n },
      never,
    )
    await jobIs('ready')
    if (phase === 'pending') await kit.driver.completeJob(uuid, 'job', never)
    await kit.driver.cancelJob(uuid, 'job', never)
    expect(await kit.driver.queryJobs(uuid, never)).toMatchObject([{ status: 'concluded' }])
    await kit.driver.cancelJob(uuid, 'job', never)
    await kit.driver.dismissJob(uuid, 'job', never)
    expect(await chainOf('vda')).toEqual([s1.path, vda.path])
    await written(4n)
    await powerOff()
    expect((await verifyGuestWrites(s1.path)).lost).toEqual([])
  })

  test('a job of limited speed can be cancelled while it runs, and its speed changed', async () => {
    const s1 = await snapshot(vda, { index: 3, name: 'vda.s1' })
    await kit.driver.startBlockJob(
      uuid,
      { kind: 'pull', jobId: 'job', target: 'vda', top: s1, base: null, bytesPerSecond: 1024n },
      never,
    )
    await kit.driver.setJobSpeed(uuid, 'job', 2048n, never)
    expect(await kit.driver.queryJobs(uuid, never)).toMatchObject([{ status: 'running' }])
    await kit.driver.cancelJob(uuid, 'job', never)
    await expect(kit.driver.completeJob(uuid, 'job', never)).rejects.toMatchObject({ kind: 'operation_failed' })
    await kit.driver.dismissJob(uuid, 'job', never)
    expect(await chainOf('vda')).toEqual([s1.path, vda.path])
  })

  test('QEMU killed in PENDING fails the wait and loses no write', async () => {
    const s1 = await snapshot(vda, { index: 3, name: 'vda.s1' })
    await kit.driver.startBlockJob(
      uuid,
      { kind: 'active_commit', jobId: 'job', target: 'vda', top: s1, base: vda, bytesPerSecond: 0n },
      never,
    )
    await jobIs('ready')
    await kit.driver.completeJob(uuid, 'job', never)
    const pid = pidOfQemu()
    kill(pid, 'SIGKILL')
    await expect(kit.driver.finalizeJob(uuid, 'job', never)).rejects.toThrow()
    await kit.fact((fact) => fact.kind === 'ended')
    // Both sides are equal in this phase: either is the disk.
    const [base, top] = [await verifyGuestWrites(vda.path), await verifyGuestWrites(s1.path)]
    expect(base).toEqual(top)
    expect(top.lost).toEqual([])
  })

  test('an overlay is opened as its disk was, also after a restart of the daemon', async () => {
    const s1 = await snapshot(vda, { index: 3, name: 's,1=x' })
    const pid = pidOfQemu()
    const direct: boolean[] = []
    for (const fd of await readdir(`/proc/${pid}/fd`)) {
      if ((await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')) !== s1.path) continue
      const flags = /^flags:\s+(\d+)$/m.exec(await readFile(`/proc/${pid}/fdinfo/${fd}`, 'utf8'))?.[1] ?? '0'
      direct.push((Number.parseInt(flags, 8) & 0o40000) !== 0)
    }
    expect(direct.length).toBeGreaterThan(0)
    expect(new Set(direct)).toEqual(new Set([true]))
  })
})
