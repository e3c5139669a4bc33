import * as v from 'valibot'
import type { EmulatorRow } from '../../projections/emulators.ts'
import type { EmulatorCapabilities } from '../conf/emulator-document.ts'
import type { EmulatorFacts } from '../conf/emulator-facts.ts'
import type { EmulatorIdentity, EmulatorProbe, Staleness } from '../driver/emulator-probe.ts'
import { type FactOf, newFact } from '../events/catalogue.ts'
import { emulatorStream } from '../events/stream-names.ts'
import type { Turn } from '../eventstore/turn.ts'
import { Fault, isFault } from '../util/fault.ts'
import { sha256 } from '../util/sha256.ts'
import { uuidV7 } from '../util/uuid-v7.ts'
import { documentForm, documentText, parseDocument, parseFacts } from './caps-document.ts'
import type { Host } from './host.ts'
import { type Context, record, validCapsFold } from './record.ts'

/** One capability version of one emulator: immutable, with what was seen of the binary when it was taken. */
export interface CapsVersion {
  readonly facts: EmulatorFacts
  readonly identity: EmulatorIdentity
  readonly seen: FactOf<'DomainDefined'>['data']['emulator']
  /** Text with its capability document. */
  readonly documentSha256: string
}

/** What a probe that failed was tried on. */
interface Tried {
  readonly identity: EmulatorIdentity | null
  readonly file: { readonly inode: bigint; readonly sizeBytes: bigint; readonly ctimeNs: bigint } | null
}

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
  /** Emulators whose last probe ran out of time in this life of the daemon, with what was tried. */
  readonly #timedOut = new Map<string, Tried>()
  readonly #probing = new Map<string, Promise<void>>()
  #justProbed: { readonly documentSha256: string; readonly capabilities: EmulatorCapabilities } | null = null

  constructor(host: CapsHost) {
    this.#host = host
  }

  /** The capability version that is valid now. Throws a Fault when the emulator is not there or cannot be asked. */
  async current(binary: string, context: Context): Promise<CapsVersion> {
    for (let round = 0; round < 3; round++) {
      const row = this.#host.reads.emulator(binary)
      if (row?.state === 'valid') {
        const stale = this.#host.driver.checkIdentity(binary, identityOf(row))
        const found = stale === null ? await this.#factsOrStale(row) : { stale }
        if ('facts' in found) return await this.#version(row, found.facts)
        await this.#invalidate(row, { stale: found.stale, detectedBy: context.caller.procedure, context })
        if (stale?.reason === 'emulator_missing')
          throw new Fault('config_unsupported', `Cannot use emulator "${binary}": ${stale.is}`)
      }
      if (row?.state === 'unprobeable' && !(await this.#changedSince(row))) {
        throw new Fault('operation_failed', `Cannot use emulator "${binary}": ${row.error ?? 'it could not be asked'}`)
      }
      await this.#probeOnce(binary, context)
    }
    throw new Fault('operation_failed', `Cannot use emulator "${binary}": its file changes faster than it can be asked`)
  }

  /**
   * The version that is valid now where its facts are in memory and nothing that it depends on has changed; null sends the caller to `current`.
   * Without a wait: versions of several emulators that are asked for in one go belong to the same moment.
   */
  known(binary: string): Pick<CapsVersion, 'facts' | 'documentSha256'> | null {
    const row = this.#host.reads.emulator(binary)
    if (row?.state !== 'valid') return null
    const facts = this.#versions.get(binary)
    if (facts?.capsId !== row.caps_id || this.#host.driver.checkIdentity(binary, identityOf(row)) !== null) return null
    return { facts, documentSha256: row.document_sha256 }
  }

  /**
   * Versions that are valid now, all in one moment, their facts loaded where need be; an emulator that has none, or whose document cannot be
   * read, is left to `current`.
   */
  async knownOf(binaries: readonly string[]): Promise<ReadonlyMap<string, EmulatorFacts>> {
    const rows = binaries.flatMap((binary) => {
      const row = this.#host.reads.emulator(binary)
      return row?.state === 'valid' ? [row] : []
    })
    const emulators = rows.map((row) => ({ binary: row.binary_path, recorded: identityOf(row) }))
    const found = this.#host.driver.checkIdentities(emulators)
    const valid = rows.filter((_, at) => found[at] === null)
    const unknown = valid.filter((row) => this.#versions.get(row.binary_path)?.capsId !== row.caps_id)
    // Where the log is away, only those that are not in memory are left.
    await this.#host.texts.load(unknown.map((row) => row.document_sha256)).catch(() => undefined)
    const facts = new Map<string, EmulatorFacts>()
    for (const row of valid) {
      const read = await this.#factsOrStale(row).catch(() => null)
      if (read !== null && 'facts' in read) facts.set(row.binary_path, read.facts)
    }
    return facts
  }

  /** The whole capability document of a version. Throws where it cannot be read. */
  async capabilities({ documentSha256 }: Pick<CapsVersion, 'documentSha256'>): Promise<EmulatorCapabilities> {
    // Who made an emulator be asked asks for what it said: it need not be read again.
    if (this.#justProbed?.documentSha256 === documentSha256) return this.#justProbed.capabilities
    return parseDocument(await this.#host.texts.get(documentSha256)).capabilities
  }

  /** Whether a task may still act on the version that it took: asked inside its turn, where nothing can come between. */
  isCurrent(turn: Turn, binary: string, capsId: string): boolean {
    return turn.state(validCapsFold, emulatorStream(sha256(binary))) === capsId
  }

  /**
   * Records that a version is no longer valid, found by somebody who looked closer than the check at its start. A version that came in its
   * place meanwhile is another one and stays.
   */
  async invalidate(
    { binary, capsId }: Pick<EmulatorFacts, 'binary' | 'capsId'>,
    found: { readonly stale: Staleness; readonly detectedBy: string; readonly context: Context },
  ): Promise<void> {
    const row = this.#host.reads.emulator(binary)
    if (row?.state === 'valid' && row.caps_id === capsId) await this.#invalidate(row, found)
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

  /** Asks the emulator now, whatever is known of it. Throws the probe's Fault. */
  async probe(binary: string, context: Context): Promise<void> {
    await this.#probeOnce(binary, context)
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
    const row = this.#host.reads.emulator(binary)
    const identity = this.#host.driver.identify(binary, row === undefined ? null : identityOf(row))
    let probe: EmulatorProbe
    try {
      probe = await this.#host.driver.probe(binary, AbortSignal.timeout(this.#host.limits.probeMs))
    } catch (error) {
      await this.#recordFailure(binary, { context, error, identity })
      throw error
    }
    this.#timedOut.delete(binary)
    await this.#recordProbe(probe, { context, durationMs: Math.round(this.#host.clock.monotonicMs() - startedMs) })
  }

  /** One fact for each failure: the same emulator is not tried again until something it depends on has changed. */
  async #recordFailure(
    binary: string,
    failure: { readonly context: Context; readonly error: unknown; readonly identity: EmulatorIdentity | null },
  ): Promise<void> {
    const { context, error, identity } = failure
    const message = error instanceof Error ? error.message : String(error)
    const file = await this.#host.images.stat(binary)
    const seen = file === null ? null : { inode: file.inode, sizeBytes: file.sizeBytes, ctimeNs: file.ctimeNs }
    // Time that ran out may be the host's fault, so another life of the daemon tries again; a file replaced meanwhile was not tried at all.
    const isBlameless = isFault(error, 'operation_timeout') || isFault(error, 'operation_aborted')
    if (isFault(error, 'operation_timeout')) this.#timedOut.set(binary, { identity, file: seen })
    const blamed = isBlameless ? { file: null, identity: null } : { file: seen, identity }
    const failed = newFact('EmulatorProbeFailed', { binary, error: message.slice(0, 4096), ...blamed })
    await this.#recordOn(binary, { context, facts: [failed], texts: [] })
  }

  async #recordProbe(
    probe: EmulatorProbe,
    run: { readonly context: Context; readonly durationMs: number },
  ): Promise<void> {
    const document = documentText(probe)
    const documentBlob = blobOf(document)
    const documentSha256 = documentBlob.sha256
    this.#justProbed = { documentSha256, capabilities: probe.capabilities }
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
    const conversationBlob = blobOf(probe.conversation)
    this.#host.texts.keep(documentSha256, document)
    const probed = newFact('EmulatorProbed', {
      capsId: uuidV7(),
      binary: probe.binary,
      arch: probe.arch,
      emulatorVersion: probe.version,
      package: probe.package,
      documentSha256,
      conversationSha256: conversationBlob.sha256,
      identity: probe.facts,
      durationMs: run.durationMs,
    })
    const texts = [documentBlob, conversationBlob]
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

  /** A document that this daemon cannot read is as good as none; the log being away says nothing of it. */
  async #factsOrStale(
    row: EmulatorRow,
  ): Promise<
    { readonly facts: EmulatorFacts } | { readonly stale: Staleness & { readonly reason: 'cache_unreadable' } }
  > {
    try {
      const known = this.#versions.get(row.binary_path)
      return { facts: known?.capsId === row.caps_id ? known : await this.#loadFacts(row) }
    } catch (error) {
      if (!(error instanceof SyntaxError) && !v.isValiError(error)) throw error
      const was = `document ${row.document_sha256} in form ${documentForm}`
      return { stale: { reason: 'cache_unreadable', was, is: `it cannot be read: ${error.message}`.slice(0, 1024) } }
    }
  }

  async #version(row: EmulatorRow, facts: EmulatorFacts): Promise<CapsVersion> {
    const file = await this.#host.images.stat(row.binary_path)
    const seen = {
      binary: row.binary_path,
      inode: file?.inode ?? 0n,
      sizeBytes: file?.sizeBytes ?? 0n,
      ctimeNs: file?.ctimeNs ?? 0n,
    }
    return { facts, identity: identityOf(row), seen, documentSha256: row.document_sha256 }
  }

  async #loadFacts(row: EmulatorRow): Promise<EmulatorFacts> {
    const document = parseFacts(await this.#host.texts.get(row.document_sha256))
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

  /** Whether something that the failed try depended on is another by now. */
  async #changedSince(row: EmulatorRow): Promise<boolean> {
    const binary = row.binary_path
    const tried = this.#timedOut.get(binary) ?? {
      identity: row.content_sha256 === '' ? null : identityOf(row),
      file: { inode: row.inode, sizeBytes: row.size_bytes, ctimeNs: row.ctime_ns },
    }
    if (tried.identity !== null) return this.#host.driver.checkIdentity(binary, tried.identity) !== null
    const file = await this.#host.images.stat(binary)
    return (
      file !== null &&
      (file.inode !== tried.file?.inode ||
        file.sizeBytes !== tried.file.sizeBytes ||
        file.ctimeNs !== tried.file.ctimeNs)
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
    executable: executableOf(row),
    daemonBuild: row.daemon_build,
    cpuid: row.cpuid,
    secureGuest: row.secure_guest,
    firmware: row.firmware,
  }
}

function executableOf(row: EmulatorRow): EmulatorIdentity['executable'] {
  const { executable_device: device, executable_inode: inode } = row
  const { executable_size_bytes: sizeBytes, executable_ctime_ns: ctimeNs } = row
  return device === null || inode === null || sizeBytes === null || ctimeNs === null
    ? null
    : { device, inode, sizeBytes, ctimeNs }
}

function blobOf(text: string): { readonly sha256: string; readonly bytes: Uint8Array } {
  const bytes = Buffer.from(text, 'utf8')
  return { sha256: sha256(bytes), bytes }
}
