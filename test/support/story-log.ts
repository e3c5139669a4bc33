import { type FactOf, type FactType, newFact, encodeData } from '../../src/events/catalogue.ts'
import { encodeMetadata, type Metadata } from '../../src/events/metadata.ts'
import { claimStream, domainStream, emulatorStream, nodeStream, refusalStream } from '../../src/events/stream-names.ts'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import { openEventStore } from '../../src/eventstore/open-event-store.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import type { NewEvent } from '../../src/eventstore/recorded-event.ts'
import { ReadModels } from '../../src/readmodel/read-models.ts'
import { sha256 } from '../../src/util/sha256.ts'
import { uuidV7 } from '../../src/util/uuid-v7.ts'
import { allProjections } from './all-projections.ts'
import { testHostId } from './log-kit.ts'
import { metadataOf } from './told-events.ts'

/** The domain of the story. */
export const web = '4dea22b3-1d52-4000-8000-782e98ab3fa0'
/** Its emulator and the capability version of the first probe. */
export const emulatorPath = '/usr/bin/qemu-system-x86_64'
export const firstCaps = 'caps-1'
/** Command and job of the block commit. */
export const commitCommand = uuidV7()
export const commitJob = `job-${commitCommand}`

const fileOf = (inode: bigint) => ({ device: 1n, inode, sizeBytes: 196_608n, mtimeNs: 1n, ctimeNs: 1n })
const layerOf = (index: number, path: string) => ({
  ...{ index, path, format: 'qcow2' as const, virtualSizeBytes: 1n << 30n },
  file: fileOf(BigInt(index)),
})

/** Writes a story into a log as the daemon does: facts with metadata, texts by their hash, read models in the same commits. */
export class StoryLog implements AsyncDisposable {
  readonly store: EventStore

  private constructor(store: EventStore) {
    this.store = store
  }

  static async open(address: PostgresAddress): Promise<StoryLog> {
    const data = { pid: 1, startTicks: 1n, bootId: 'boot', hostname: 'vm', daemonVersion: '0', driver: 'qemu' } as const
    const started = newEvent('DaemonStarted', data, metadataOf({ procedure: 'START' }))
    const store = await openEventStore({
      address,
      hostId: testHostId,
      holder: { pid: process.pid, startedAtUs: 1n, host: 'vm' },
      fence: () => [{ stream: nodeStream(testHostId), expectedRevision: 'any', events: [started] }],
      participants: [new ReadModels({ projections: allProjections })],
    })
    return new StoryLog(store)
  }

  /** Records one fact in a commit of its own, with the texts that it names. Returns its position. */
  async record<Type extends FactType>(
    type: Type,
    data: FactOf<Type>['data'],
    beside: Partial<Metadata> & { readonly stream?: string; readonly texts?: readonly string[] } = {},
  ): Promise<bigint> {
    const { stream = domainStream(web), texts = [], ...meta } = beside
    const blobs = texts.map((text) => ({ sha256: sha256(text), bytes: Buffer.from(text) }))
    const events = [newEvent(type, data, metadataOf({ commandId: uuidV7(), ...meta }))]
    const { lastPosition } = await this.store.append([{ stream, expectedRevision: 'any', events, blobs }], {
      kind: 'fact',
    })
    return lastPosition
  }

  async probe(
    capsId = firstCaps,
    changes: Partial<FactOf<'EmulatorProbed'>['data']['identity']> = {},
  ): Promise<bigint> {
    const document = JSON.stringify({
      ...{ virtTypes: ['kvm', 'qemu'], flags: ['a', 'b'], version: 7_002_022, package: '', arch: 'x86_64' },
      machines: [{ name: 'pc', alias: null, maxCpus: 255, isDefault: true }],
      cpuModels: [{ name: 'qemu64', usable: true }],
    })
    const about = {
      binary: emulatorPath,
      arch: 'x86_64',
      emulatorVersion: 7_002_022,
      package: 'Debian',
      durationMs: 250,
    }
    const hashes = { documentSha256: sha256(document), conversationSha256: sha256('conversation') }
    const identity = {
      ...{ resolvedPath: emulatorPath, device: 1n, inode: 10n, sizeBytes: 1000n, ctimeNs: 5n, sha256: 'a'.repeat(64) },
      ...{ executablePath: emulatorPath, kvmUsable: true, moduleDirectory: null, moduleDirectoryMtimeNs: null },
      ...{ kernel: '6.1', microcode: null, hostCpu: 'cpu', nestedKvm: false, uid: 1, gid: 1 },
      ...{ executable: null, daemonBuild: null, cpuid: null, secureGuest: null, firmware: null },
      ...changes,
    }
    const beside = { stream: emulatorStream(sha256(emulatorPath)), texts: [document, 'conversation'] }
    return await this.record('EmulatorProbed', { capsId, ...about, ...hashes, identity }, beside)
  }

  async define(
    xml: string,
    beside: Partial<Metadata> & { readonly uuid?: string; readonly name?: string } = {},
  ): Promise<bigint> {
    const { uuid = web, name = 'web', ...meta } = beside
    const submitted = xml.replaceAll('\n', '')
    const emulator = { binary: emulatorPath, inode: 10n, sizeBytes: 1000n, ctimeNs: 5n }
    const texts = { submittedSha256: sha256(submitted), definitionSha256: sha256(xml) }
    const data = { uuid, name, ...texts, capsId: firstCaps, emulator, kept: [] }
    const stream = domainStream(uuid)
    return await this.record('DomainDefined', data, {
      procedure: 'DOMAIN_DEFINE_XML',
      capsId: firstCaps,
      ...meta,
      stream,
      texts: [submitted, xml],
    })
  }

  async detectChain(): Promise<bigint> {
    return await this.record('BackingChainDetected', { disk: 'vda', layers: [layerOf(1, '/images/base.qcow2')] })
  }

  async start(xml: string): Promise<bigint> {
    const commandId = uuidV7()
    const emulator = { binary: emulatorPath, inode: 10n, sizeBytes: 1000n, ctimeNs: 5n }
    const beside = { commandId, capsId: firstCaps, procedure: 'DOMAIN_CREATE' }
    const asked = {
      name: 'web',
      domainId: 1,
      definitionSha256: sha256(xml),
      capsId: firstCaps,
      emulator,
      paused: false,
    }
    await this.record('DomainStartRequested', { ...asked, vncPorts: [], owners: [], cause: 'request' }, beside)
    const run = {
      domainId: 1,
      process: { pid: 42, startTicks: 1n, bootId: 'boot' },
      monitorPath: '/m',
      virtType: 'kvm' as const,
    }
    const rest = {
      commandLineSha256: sha256('qemu'),
      executableSha256: 'a'.repeat(64),
      terminals: {},
      vncPorts: [],
      paused: false,
    }
    return await this.record('DomainStarted', { ...run, ...rest }, { ...beside, texts: ['qemu'] })
  }

  async snapshot(): Promise<bigint> {
    const commandId = uuidV7()
    const data = { name: 's1', description: null, parent: null, metadata: true }
    const disk = { disk: 'vda', active: 1, overlay: 2, path: '/images/base.s1' }
    await this.record('SnapshotRequested', { ...data, disks: [disk], reuseExternal: false }, { commandId })
    const disks = [{ disk: 'vda', snapshot: 'external', overlay: layerOf(2, '/images/base.s1') }]
    const rest = { state: 'disk-snapshot', createdAtUs: 1n, definitionSha256: sha256('x') }
    return await this.record('SnapshotCreated', { ...data, ...rest, disks }, { commandId, texts: ['x'] })
  }

  async requestCommit(beside: Partial<Metadata> = {}): Promise<bigint> {
    const layers = { kind: 'active_commit', base: 1, top: 2, onReady: 'pivot' } as const
    const data = { jobId: commitJob, disk: 'vda', ...layers, bytesPerSecond: 0n, owners: [] }
    return await this.record('BlockJobRequested', data, {
      commandId: commitCommand,
      procedure: 'DOMAIN_BLOCK_COMMIT',
      ...beside,
    })
  }

  async pivot(): Promise<bigint> {
    const beside = {
      commandId: uuidV7(),
      correlationId: commitCommand,
      causationId: commitCommand,
      procedure: 'BLOCK_JOB',
    }
    await this.record(
      'BlockJobPivoting',
      { jobId: commitJob, from: '/images/base.s1', to: '/images/base.qcow2' },
      beside,
    )
    const data = { jobId: commitJob, disk: 'vda', chain: [1], frozenMs: 3, settledBy: 'hypervisor' } as const
    return await this.record('BlockJobPivoted', data, beside)
  }

  async invalidate(values: Partial<FactOf<'EmulatorInvalidated'>['data']> = {}): Promise<bigint> {
    const found = { reason: 'operator_request', was: firstCaps, is: 'forgotten', detectedBy: 'CAPS_FORGET' } as const
    const stream = emulatorStream(sha256(emulatorPath))
    return await this.record(
      'EmulatorInvalidated',
      { capsId: firstCaps, binary: emulatorPath, ...found, ...values },
      { stream },
    )
  }

  async claimName(): Promise<bigint> {
    const data = { kind: 'name', subject: 'web', domain: web, mode: 'exclusive' } as const
    return await this.record('ClaimTaken', data, { stream: claimStream('name', 'web') })
  }

  async refuse(): Promise<bigint> {
    const data = {
      procedure: 'DOMAIN_CREATE',
      rule: 'operation_invalid',
      message: 'domain is already running',
      subject: web,
      count: 1,
    }
    return await this.record('CommandRefused', data, { stream: refusalStream(0) })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close()
  }
}

function newEvent<Type extends FactType>(type: Type, data: FactOf<Type>['data'], meta: Metadata): NewEvent {
  const fact = newFact(type, data)
  return { eventId: uuidV7(), type, schema: fact.schema, data: encodeData(fact.data), meta: encodeMetadata(meta) }
}
