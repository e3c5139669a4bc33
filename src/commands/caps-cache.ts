import * as v from 'valibot'
import type { EmulatorRow } from '../../projections/emulators.ts'
import type { EmulatorFacts } from '../conf/emulator-facts.ts'
import type { EmulatorIdentity, EmulatorProbe, Staleness } from '../driver/emulator-probe.ts'
import { type FactOf, newFact } from '../events/catalogue.ts'
import { emulatorStream } from '../events/stream-names.ts'
import type { Turn } from '../eventstore/turn.ts'
import { Fault, isFault } from '../util/fault.ts'
import { sha256 } from '../util/sha256.ts'
import { uuidV7 } from '../util/uuid-v7.ts'
import { documentOf, documentSchema } from './caps-document.ts'
import type { Host } from './host.ts'
import { type Context, record, validCapsFold } from './record.ts'

/** One capability version of one emulator: immutable, with what was seen of the binary when it was taken. */
export interface CapsVersion {
  readonly facts: EmulatorFacts
  readonly identity: EmulatorIdentity
  readonly seen: FactOf<'DomainDefined'>['data']['emulator']
}

/** Between two probes of an emulator that did not answer in time, in milliseconds. */
const timeoutPauseMs = 60_000

type CapsHost = Pick<
  Host,
  'log' | 'hostId' | 'clock' | 'notes' | 'reads' | 'texts' | 'driver' | 'images' | 'limits' | 'shares'
>

/**
 * Capability versions on demand: the recorded one while nothing it depends on changed, else a new probe. One probe of
 * an emulator at a time however many ask; different emulators never wait for each other.
 */
export class CapsCache {
  readonly #host: CapsHost
  /** The parsed document of the latest version of each emulator. */
  readonly #versions = new Map<string, EmulatorFacts>()
  /** Emulators whose last probe ran out of time, with when they may be tried again. */
  readonly #pausedUntilMs = new Map<string, number>()
  readonly #probing = new Map<string, Promise<void>>()

  constructor(host: CapsHost) {
    this.#host = host
  }

  /** The capability version that is valid now. Throws a Fault when the emulator is not there or cannot be asked. */
  async current(binary: string, context: Context): Promise<CapsVersion> {
    for (let round = 0; round < 3; round++) {
      const row = this.#host.reads.emulator(binary)
      if (row?.state === 'valid') {
        const stale = this.#host.driver.checkIdentity(binary, identityOf(row))
        if (stale === null) return await this.#version(row)
        await this.#invalidate(row, { stale, detectedBy: context.caller.procedure, context })
        if (stale.reason === 'emulator_missing')
          throw new Fault('config_unsupported', `Cannot use emulator "${binary}": ${stale.is}`)
      }
      if (row?.state === 'unprobeable' && !(await this.#changedSince(row))) {
        throw new Fault('operation_failed', `Cannot use emulator "${binary}": ${row.error ?? 'it could not be asked'}`)
      }
      await this.#probeOnce(binary, context)
    }
    throw new Fault('operation_failed', `Cannot use emulator "${binary}": its file changes faster than it can be asked`)
  }

  /** Whether a task may still act on the version that it took: asked inside its turn, where nothing can come between. */
  isCurrent(turn: Turn, binary: string, capsId: string): boolean {
    return turn.state(validCapsFold, emulatorStream(sha256(binary))) === capsId
  }

  /** Records that a version is no longer valid, found by somebody who looked closer than the check at its start. */
  async invalidate(
    binary: string,
    found: { readonly stale: Staleness; readonly detectedBy: string; readonly context: Context },
  ): Promise<void> {
    const row = this.#host.reads.emulator(binary)
    if (row?.state === 'valid') await this.#invalidate(row, found)
  }

  async #invalidate(
    row: EmulatorRow,
    found: { readonly stale: Staleness; readonly detectedBy: string; readonly context: Context },
  ): Promise<void> {
    const { reason, was, is } = found.stale
    this.#host.notes.info({ emulator: row.binary_path, reason, was, is }, 'Capability version invalidated')
    const { caps_id: capsId, binary_path: binary } = row
    const invalidated = newFact('EmulatorInvalidated', {
      capsId,
      binary,
      reason,
      was,
      is,
      detectedBy: found.detectedBy,
    })
    await record(this.#host, found.context, {
      kind: 'fact',
      // Many tasks find the same staleness in the same moment; it happened once.
      decide: (turn) =>
        this.isCurrent(turn, binary, capsId) ? [{ stream: emulatorStream(sha256(binary)), facts: [invalidated] }] : [],
    })
  }

  async #probeOnce(binary: string, context: Context): Promise<void> {
    const running = this.#probing.get(binary)
    if (running !== undefined) return await running
    const probe = this.#probe(binary, context).finally(() => this.#probing.delete(binary))
    this.#probing.set(binary, probe)
    await probe
  }

  async #probe(binary: string, context: Context): Promise<void> {
    const startedMs = this.#host.clock.monotonicMs()
    let probe: EmulatorProbe
    try {
      probe = await this.#host.driver.probe(binary, AbortSignal.timeout(this.#host.limits.probeMs))
    } catch (error) {
      const file = await this.#host.images.stat(binary)
      const message = error instanceof Error ? error.message : String(error)
      const isTimeout = isFault(error, 'operation_timeout')
      const data = {
        binary,
        error: message.slice(0, 4096),
        // A probe that ran out of time says more of the host's load than of the file: it is tried again after a pause.
        file:
          file === null || isTimeout ? null : { inode: file.inode, sizeBytes: file.sizeBytes, ctimeNs: file.ctimeNs },
      }
      if (isTimeout) this.#pausedUntilMs.set(binary, this.#host.clock.monotonicMs() + timeoutPauseMs)
      await this.#recordOn(binary, { context, facts: [newFact('EmulatorProbeFailed', data)], texts: [] })
      throw error
    }
    await this.#recordProbe(probe, { context, durationMs: Math.round(this.#host.clock.monotonicMs() - startedMs) })
  }

  async #recordProbe(
    probe: EmulatorProbe,
    run: { readonly context: Context; readonly durationMs: number },
  ): Promise<void> {
    const document = JSON.stringify(documentOf(probe))
    const documentSha256 = sha256(document)
    const previous = this.#host.reads.emulator(probe.binary)
    if (
      previous !== undefined &&
      previous.caps_id !== '' &&
      previous.document_sha256 === documentSha256 &&
      previous.content_sha256 === probe.facts.sha256
    ) {
      const again = newFact('EmulatorReprobed', {
        capsId: previous.caps_id,
        binary: probe.binary,
        identity: probe.facts,
        durationMs: run.durationMs,
      })
      await this.#recordOn(probe.binary, { context: run.context, facts: [again], texts: [] })
      return
    }
    const conversationSha256 = sha256(probe.conversation)
    this.#host.texts.keep(documentSha256, document)
    const probed = newFact('EmulatorProbed', {
      capsId: uuidV7(),
      binary: probe.binary,
      arch: probe.arch,
      emulatorVersion: probe.version,
      package: probe.package,
      documentSha256,
      conversationSha256,
      identity: probe.facts,
      durationMs: run.durationMs,
    })
    const texts = [blobOf(documentSha256, document), blobOf(conversationSha256, probe.conversation)]
    await this.#recordOn(probe.binary, { context: run.context, facts: [probed], texts })
  }

  async #recordOn(
    binary: string,
    what: {
      readonly context: Context
      readonly facts: readonly ReturnType<typeof newFact>[]
      readonly texts: readonly ReturnType<typeof blobOf>[]
    },
  ): Promise<void> {
    await record(this.#host, what.context, {
      kind: 'fact',
      decide: () => [{ stream: emulatorStream(sha256(binary)), facts: what.facts, texts: what.texts }],
    })
  }

  async #version(row: EmulatorRow): Promise<CapsVersion> {
    const known = this.#versions.get(row.binary_path)
    const facts = known?.capsId === row.caps_id ? known : await this.#loadFacts(row)
    const file = await this.#host.images.stat(row.binary_path)
    const seen = {
      binary: row.binary_path,
      inode: file?.inode ?? 0n,
      sizeBytes: file?.sizeBytes ?? 0n,
      ctimeNs: file?.ctimeNs ?? 0n,
    }
    return { facts, identity: identityOf(row), seen }
  }

  async #loadFacts(row: EmulatorRow): Promise<EmulatorFacts> {
    const document = v.parse(documentSchema, JSON.parse(await this.#host.texts.get(row.document_sha256)))
    const facts: EmulatorFacts = {
      ...document,
      capsId: row.caps_id,
      binary: row.binary_path,
      arch: row.arch,
      version: BigInt(row.emulator_version),
      machines: document.machines.map((machine) => ({ ...machine, alias: machine.alias ?? undefined })),
      flags: new Set(document.flags),
    }
    this.#versions.set(row.binary_path, facts)
    return facts
  }

  async #changedSince(row: EmulatorRow): Promise<boolean> {
    if ((this.#pausedUntilMs.get(row.binary_path) ?? 0) > this.#host.clock.monotonicMs()) return false
    const file = await this.#host.images.stat(row.binary_path)
    return (
      file !== null && (file.inode !== row.inode || file.sizeBytes !== row.size_bytes || file.ctimeNs !== row.ctime_ns)
    )
  }
}

/** What a row says of the emulator's file and of the host at the time of the probe. */
export function identityOf(row: EmulatorRow): EmulatorIdentity {
  return {
    resolvedPath: row.resolved_path,
    device: row.device,
    inode: row.inode,
    sizeBytes: row.size_bytes,
    ctimeNs: row.ctime_ns,
    sha256: row.content_sha256,
    executablePath: row.executable_path,
    kvmUsable: row.kvm_usable,
    moduleDirectory: row.module_directory,
    moduleDirectoryMtimeNs: row.module_directory_mtime_ns,
    kernel: row.kernel,
    microcode: row.microcode,
    hostCpu: row.host_cpu,
    nestedKvm: row.nested_kvm,
    uid: row.uid,
    gid: row.gid,
  }
}

function blobOf(hash: string, text: string): { readonly sha256: string; readonly bytes: Uint8Array } {
  return { sha256: hash, bytes: Buffer.from(text, 'utf8') }
}
