import { ownedImages } from './owned-images.ts'
import {
  type AtPoint,
  callerOf,
  commitOf,
  definitionOf,
  type FakeDaemon,
  FakeMachine,
  operator,
  snapshotOf,
} from './fake-host.ts'
import type { RecordedEvent } from '../../src/eventstore/recorded-event.ts'
import type { Caller } from '../../src/commands/caller.ts'
import { newContext } from '../../src/commands/run-command.ts'
import { reconcileAll } from '../../src/commands/reconcile.ts'
import { Fault } from '../../src/util/fault.ts'

const base = '/images/web.qcow2'
const uuid = '4dea22b3-1d52-4000-8000-782e98ab3fa0'
const display = "<graphics type='vnc' autoport='yes'/>"

function by(procedure: string): Caller {
  return callerOf(1000, { procedure })
}

/** A daemon whose images belong to root until they are given to the hypervisor, with the domain `web`. */
async function withWeb(at?: AtPoint): Promise<{ readonly machine: FakeMachine; readonly daemon: FakeDaemon }> {
  const machine = new FakeMachine()
  const daemon = machine.boot({ images: ownedImages, ...(at === undefined ? {} : { at }) })
  const disks = { vda: base, vdb: '/images/data.qcow2' }
  const xml = definitionOf('web', { uuid, disks, devices: display })
  await daemon.commands.defineDomain(operator, { xml, validate: false })
  return { machine, daemon }
}

/** With an element that this version does not understand. */
function withUnknown(xml: string): string {
  return xml.replace('<devices>', "<resource><partition>/machine</partition></resource><devices><tpm model='tpm-tis'/>")
}

/** What people do with a domain on a good day, from its definition to its end. */
async function goodDay(): Promise<FakeMachine> {
  const { machine, daemon } = await withWeb()
  const { commands } = daemon
  await commands.setAutostart(operator, { uuid, autostart: true })
  await commands.startDomain(operator, { uuid, paused: true })
  await commands.resumeDomain(operator, uuid)
  await commands.suspendDomain(operator, uuid)
  await commands.resumeDomain(operator, uuid)
  await commands.resetDomain(operator, uuid)
  const xml = '<domainsnapshot><name>s1</name><description>before the upgrade to 12.1</description></domainsnapshot>'
  await commands.createSnapshot(operator, snapshotOf(uuid, 's1', { xml }))
  await commands.createSnapshot(operator, snapshotOf(uuid, 's2'))
  await commands.commitBlocks(operator, commitOf(uuid, { bytesPerSecond: 8n << 20n }))
  await commands.setBlockJobSpeed(operator, { uuid, disk: 'vda', bytesPerSecond: 4n << 20n })
  await machine.time.advance(60_000)
  const pivoted = commands.endBlockJob(operator, { uuid, disk: 'vda', pivot: true, wait: true })
  await machine.time.advance(60_000)
  await pivoted
  await commands.pullBlocks(operator, { uuid, disk: 'vdb', base: null, bytesPerSecond: 0n })
  await machine.time.advance(60_000)
  await commands.deleteSnapshot(operator, {
    uuid,
    name: 's1',
    children: false,
    childrenOnly: false,
    metadataOnly: true,
  })
  await commands.shutdownDomain(operator, uuid)
  daemon.driver.guests.powerOff(uuid)
  await machine.time.advance(1_000)
  await commands.startDomain(operator, { uuid, paused: false })
  await commands.defineDomain(operator, { xml: definitionOf('web', { uuid }), validate: false })
  await commands.destroyDomain(operator, { uuid, graceful: false })
  await commands.defineDomain(operator, { xml: withUnknown(definitionOf('web', { uuid })), validate: false })
  await commands.undefineDomain(operator, { uuid, dropSnapshots: true })
  return machine
}

/** Jobs that end otherwise than by a pivot. */
async function jobsGoneWrong(): Promise<FakeMachine> {
  const { machine, daemon } = await withWeb()
  const { commands } = daemon
  await commands.startDomain(operator, { uuid, paused: false })
  await commands.createSnapshot(operator, snapshotOf(uuid, 's1'))
  await commands.createSnapshot(operator, snapshotOf(uuid, 's2'))
  // From here on the hypervisor has the active image only: a job needs more.
  await commands.destroyDomain(operator, { uuid, graceful: false })
  await commands.startDomain(operator, { uuid, paused: false })
  await commands.commitBlocks(operator, commitOf(uuid))
  const cancelled = commands.endBlockJob(operator, { uuid, disk: 'vda', pivot: false, wait: true })
  await machine.time.advance(1_000)
  await cancelled
  const failing = await commands.commitBlocks(callerOf(1000, { onReady: 'pivot' }), commitOf(uuid))
  daemon.driver.guests.failJob(uuid, failing, 'No space left on device')
  await machine.time.advance(60_000)
  return machine
}

/** Runs that end otherwise than by request, and requests that come to nothing. */
async function runsGoneWrong(): Promise<FakeMachine> {
  const { machine, daemon } = await withWeb()
  const { commands } = daemon
  machine.script.failNext('start', new Fault('operation_failed', 'Cannot start domain "web": no memory'))
  await commands.startDomain(operator, { uuid, paused: false }).catch(() => undefined)
  await commands.startDomain(operator, { uuid, paused: false })
  machine.script.failNext('suspend', new Fault('operation_failed', 'Cannot suspend domain "web": refused'))
  await commands.suspendDomain(operator, uuid).catch(() => undefined)
  daemon.driver.guests.reset(uuid)
  daemon.driver.guests.crash(uuid)
  await machine.time.advance(1_000)
  await commands.suspendDomain(operator, uuid).catch(() => undefined)
  for (let at = 0; at < 40; at++) {
    const asked = by(at % 4 === 0 ? 'DOMAIN_SUSPEND' : 'DOMAIN_RESUME')
    await daemon.host.refusals.note(newContext(asked), new Fault('operation_invalid', 'domain is not running'), uuid)
    await machine.time.advance(10)
  }
  await daemon.host.refusals.flush()
  return machine
}

/** Images that change while nobody looks. */
async function imagesChanged(): Promise<FakeMachine> {
  const { machine, daemon } = await withWeb()
  const { commands } = daemon
  const start = async () => await commands.startDomain(by('DOMAIN_CREATE'), { uuid, paused: false })
  await start()
  await commands.createSnapshot(operator, snapshotOf(uuid, 's1'))
  await commands.destroyDomain(operator, { uuid, graceful: false })
  await machine.time.advance(1_000)
  daemon.world.changeImage('/images/web.s1', { sizeBytes: 12n })
  await start()
  await commands.destroyDomain(operator, { uuid, graceful: false })
  daemon.world.createImage({ path: base, format: 'qcow2', virtualSizeBytes: 1n << 30n, backing: null, sizeBytes: 7n })
  await start().catch(() => undefined)
  await commands.adoptChain(operator, { uuid, disk: 'vda' })
  await commands.defineDomain(operator, { xml: definitionOf('web', { uuid, disks: {} }), validate: false })
  await start()
  return machine
}

/** An emulator that cannot be asked, and one that is asked again and answers the same. */
async function emulatorsAsked(): Promise<FakeMachine> {
  const { machine, daemon } = await withWeb()
  await daemon.commands.forgetCapabilities(by('CAPS_FORGET'), { binary: null })
  await daemon.commands.startDomain(operator, { uuid, paused: false })
  machine.script.emulatorVersion = 2_000_000
  machine.script.failNext('probe', new Fault('operation_failed', 'Cannot probe: it crashed'))
  const xml = definitionOf('web', { uuid })
  await daemon.commands.defineDomain(operator, { xml, validate: false }).catch(() => undefined)
  return machine
}

/** An emulator that is replaced under a start, which fails by that. */
async function startAborted(): Promise<FakeMachine> {
  const { machine, daemon } = await withWeb((point) => {
    if (point === 'start.requested') machine.script.emulatorVersion = 2_000_000
  })
  machine.script.failNext('start', new Fault('operation_failed', 'Cannot start domain "web": it ended at once'))
  await daemon.commands.startDomain(by('DOMAIN_CREATE'), { uuid, paused: false }).catch(() => undefined)
  return machine
}

/** A host that boots again while a domain runs and a job is under way. */
async function hostRebooted(): Promise<FakeMachine> {
  const { machine, daemon } = await withWeb()
  await daemon.commands.startDomain(operator, { uuid, paused: false })
  daemon.kill()
  machine.bootId = 'boot-2'
  await machine.time.advance(0)
  await reconcileAll(machine.boot().host)
  return machine
}

/** A daemon that was away while a job ended, and finds a chain that no end of the job explains. */
async function jobLost(): Promise<FakeMachine> {
  const { machine, daemon } = await withWeb()
  await daemon.commands.startDomain(operator, { uuid, paused: false })
  await daemon.commands.createSnapshot(operator, snapshotOf(uuid, 's1'))
  await daemon.commands.commitBlocks(operator, commitOf(uuid))
  daemon.kill()
  await machine.time.advance(0)
  const next = machine.boot()
  const other = { node: 'other', path: '/images/other.qcow2', format: 'qcow2' }
  const reattach = next.driver.reattach.bind(next.driver)
  next.driver.reattach = async (...args) => {
    const found = await reattach(...args)
    return found.kind === 'running' ? { ...found, jobs: [] } : found
  }
  next.driver.queryChains = async () => [{ target: 'vda', layers: [other] }]
  await reconcileAll(next.host)
  return machine
}

const scenes = [
  goodDay,
  jobsGoneWrong,
  runsGoneWrong,
  imagesChanged,
  emulatorsAsked,
  startAborted,
  hostRebooted,
  jobLost,
]

/**
 * Events as the daemon records them, by its own commands over the driver without QEMU and a log in memory. Random ids are
 * numbered, so that one recording can be compared with the next.
 */
export async function playEvents(): Promise<readonly RecordedEvent[]> {
  const events: RecordedEvent[] = []
  for (const scene of scenes) events.push(...(await scene()).log.events)
  const texts = withStableIds(events.map(({ data }) => Buffer.from(data).toString('utf8')))
  return events.map((event, at) => ({ ...event, data: Buffer.from(texts[at] ?? '') }))
}

/** The same texts with the random ids in them numbered in the order in which they come. */
export function withStableIds(texts: readonly string[]): readonly string[] {
  const known = new Map<string, string>()
  const numbered = (id: string): string => {
    const stable = known.get(id) ?? `00000000-0000-7000-8000-${String(known.size + 1).padStart(12, '0')}`
    known.set(id, stable)
    return stable
  }
  return texts.map((text) => text.replaceAll(versionSeven, numbered))
}

const versionSeven = /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g
