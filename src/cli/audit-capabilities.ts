import { machine } from 'node:os'
import type { AnyFact, FactOf } from '../events/catalogue.ts'
import { BoundedMap } from '../eventstore/bounded-map.ts'
import { isNative } from '../qemu/emulator-identities.ts'
import { EmulatorContents, type EmulatorFile } from './emulator-contents.ts'
import {
  type Difference,
  type HostView,
  hostDifference,
  type Identity,
  type Invalidation,
  judgeByNextProbe,
  judgeInvalidation,
  type Verdict,
} from './judge-invalidation.ts'

/** An event as the audit needs it. */
export interface AuditedEvent {
  readonly position: bigint
  readonly timeUs: bigint
  readonly commandId: string
  readonly capsId: string | null
  readonly who: string
  readonly procedure: string
  readonly fact: AnyFact
}

/** A task that used a capability version. */
export type AuditedTask = Omit<AuditedEvent, 'fact' | 'capsId'> & { readonly type: string }

/** An invalidation and whether it was right. */
export interface JudgedInvalidation extends Invalidation {
  readonly position: bigint
  readonly timeUs: bigint
  readonly verdict: Verdict
}

/**
 * A version that was used although it should not have been. `missing`: facts differed and nobody invalidated it. `stale`:
 * it had been invalidated. `unknown`: no probe made it. `unproven`: the file was touched, and nothing tells whether its
 * content was the same (then the version rightly lived on); not a finding.
 */
export interface Misuse {
  readonly kind: 'missing' | 'stale' | 'unknown' | 'unproven'
  readonly capsId: string
  readonly binary: string
  readonly difference: Difference | null
  /** The first of them; `taskCount` counts all. */
  readonly tasks: readonly AuditedTask[]
  readonly taskCount: number
}

/** What the replay of the audit found. */
export interface CapabilityReport {
  readonly invalidations: readonly JudgedInvalidation[]
  readonly misuses: readonly Misuse[]
  /** Tasks that were looked at. */
  readonly taskCount: number
}

interface Version {
  readonly capsId: string
  readonly binary: string
  readonly identity: Identity
  readonly identityPosition: bigint
  readonly invalidated: Difference | null
}

interface Pending {
  readonly at: number
  readonly commandId: string
  readonly identity: Identity
}

const keptTasks = 100
const mostCommands = 100_000
/** Facts that do not act by a version, whatever version their task had: failures, and what stands beside an intent. */
const passive: ReadonlySet<string> = new Set([
  ...['CommandRefused', 'TaskAborted', 'CommandFailed', 'DomainStartFailed'],
  ...['ClaimTaken', 'ClaimReleased', 'BackingChainDetected', 'BackingChainVerified', 'DriftDetected'],
])

/** Replays what is recorded about capability versions, event by event in the order of the log. Pure: it reads nothing itself. */
export class CapabilityAudit {
  readonly contents = new EmulatorContents()
  readonly #hostArch: string
  readonly #versions = new Map<string, Version>()
  readonly #current = new Map<string, string>()
  readonly #pending = new Map<string, Pending>()
  readonly #judged = new BoundedMap<string, string>(mostCommands)
  readonly #invalidations: JudgedInvalidation[] = []
  readonly #misuses = new Map<string, Misuse & { readonly file: EmulatorFile | null; readonly sha256: string }>()
  #host: { readonly view: HostView; readonly position: bigint } | null = null
  #taskCount = 0

  constructor(options: { readonly hostArch?: string } = {}) {
    this.#hostArch = options.hostArch ?? machine()
  }

  take(event: AuditedEvent): void {
    const { fact } = event
    if (fact.type === 'HostFactsObserved') this.#host = { view: fact.data, position: event.position }
    else if (fact.type === 'EmulatorProbed' || fact.type === 'EmulatorReprobed') this.#probed(event, fact)
    else if (fact.type === 'EmulatorInvalidated') this.#invalidated(event, fact.data)
    else if (event.capsId !== null && !passive.has(fact.type)) this.#used(event, event.capsId)
  }

  /** What was found; files whose content is known by now decide what could not be decided when they were seen. */
  report(): CapabilityReport {
    const misuses = [...this.#misuses.values()].flatMap(({ file, sha256, ...misuse }): Misuse[] => {
      if (misuse.kind !== 'unproven' || file === null) return [misuse]
      const content = this.contents.find(misuse.binary, file)
      if (content === undefined) return [misuse]
      return content === sha256 ? [] : [{ ...misuse, kind: 'missing' }]
    })
    return { invalidations: this.#invalidations, misuses, taskCount: this.#taskCount }
  }

  #probed(event: AuditedEvent, { data }: FactOf<'EmulatorProbed'> | FactOf<'EmulatorReprobed'>): void {
    const { capsId, binary, identity } = data
    this.contents.learn(binary, identity)
    const pending = this.#pending.get(binary)
    this.#pending.delete(binary)
    const judged = pending === undefined ? undefined : this.#invalidations[pending.at]
    // A probe by another task comes later, when what had changed may have changed back.
    if (
      pending !== undefined &&
      judged !== undefined &&
      pending.commandId === event.commandId &&
      judged.verdict.justified
    ) {
      const verdict = judgeByNextProbe(judged, { before: pending.identity, after: identity })
      if (verdict !== null) this.#invalidations[pending.at] = { ...judged, verdict }
    }
    this.#versions.set(capsId, { capsId, binary, identity, identityPosition: event.position, invalidated: null })
    this.#current.set(binary, capsId)
  }

  #invalidated(event: AuditedEvent, data: Invalidation): void {
    const { capsId, binary, reason, was, is } = data
    this.contents.learnText(binary, is)
    const version = this.#versions.get(capsId)
    const verdict = this.#verdictOn(data, version)
    this.#invalidations.push({ ...data, position: event.position, timeUs: event.timeUs, verdict })
    if (version === undefined) return
    this.#pending.set(binary, {
      at: this.#invalidations.length - 1,
      commandId: event.commandId,
      identity: version.identity,
    })
    this.#versions.set(capsId, { ...version, invalidated: { reason, was, is } })
  }

  #verdictOn(data: Invalidation, version: Version | undefined): Verdict {
    if (version === undefined) return { justified: false, why: `no probe made version ${data.capsId}` }
    if (version.invalidated !== null) return { justified: false, why: 'the version was invalid already' }
    const host = this.#host !== null && this.#host.position > version.identityPosition ? this.#host.view : null
    return judgeInvalidation(data, { identity: version.identity, host })
  }

  /** A task is judged by the first thing that it recorded under a version: what comes after a side effect cannot be taken back. */
  #used(event: AuditedEvent, capsId: string): void {
    const seen = seenBy(event.fact)
    if (this.#judged.get(event.commandId) === capsId && seen === null) return
    const first = this.#judged.get(event.commandId) !== capsId
    this.#judged.set(event.commandId, capsId)
    if (first) this.#taskCount++
    const version = this.#versions.get(capsId)
    if (version === undefined) {
      this.#note(event, { kind: 'unknown', capsId, binary: seen?.binary ?? 'unknown', difference: null })
      return
    }
    const { binary } = version
    if (first && (version.invalidated !== null || this.#current.get(binary) !== capsId)) {
      this.#note(event, { kind: 'stale', capsId, binary, difference: version.invalidated })
      return
    }
    const found = this.#difference(version, seen)
    if (found !== null) this.#note(event, { capsId, binary, ...found })
  }

  #difference(
    version: Version,
    seen: EmulatorFile | null,
  ): Pick<Noted, 'kind' | 'difference' | 'file' | 'sha256'> | null {
    const { identity, binary } = version
    const host = this.#host !== null && this.#host.position > version.identityPosition ? this.#host.view : null
    const file = seen ?? host?.emulators.find((one) => one.binary === binary) ?? null
    if (file !== null) {
      const found = this.contents.compare(binary, { identity, file })
      if (found !== null) return { ...found, file, sha256: identity.sha256 }
    }
    if (host === null) return null
    const difference = hostDifference(identity, { host, native: isNative(binary, this.#hostArch) })
    return difference === null ? null : { kind: 'missing', difference }
  }

  #note(event: AuditedEvent, noted: Noted): void {
    const { kind, capsId, binary, difference, file = null, sha256 = '' } = noted
    const key = [kind, capsId, difference?.reason, difference?.is].join(' ')
    const before = this.#misuses.get(key)
    const { fact, capsId: _capsId, ...rest } = event
    const tasks = before?.tasks ?? []
    this.#misuses.set(key, {
      ...{ kind, capsId, binary, difference, file, sha256 },
      tasks: tasks.length < keptTasks ? [...tasks, { ...rest, type: fact.type }] : tasks,
      taskCount: (before?.taskCount ?? 0) + 1,
    })
  }
}

interface Noted extends Pick<Misuse, 'kind' | 'capsId' | 'binary' | 'difference'> {
  readonly file?: EmulatorFile
  readonly sha256?: string
}

/** Replays events and gives the report. */
export function auditCapabilities(
  events: Iterable<AuditedEvent>,
  options: { readonly hostArch?: string } = {},
): CapabilityReport {
  const audit = new CapabilityAudit(options)
  for (const event of events) audit.take(event)
  return audit.report()
}

/** Whether a report holds something that must not be. */
export function hasFindings({ invalidations, misuses }: CapabilityReport): boolean {
  return invalidations.some((one) => !one.verdict.justified) || misuses.some((one) => one.kind !== 'unproven')
}

function seenBy(fact: AnyFact): (EmulatorFile & { readonly binary: string }) | null {
  return fact.type === 'DomainDefined' || fact.type === 'DomainStartRequested' ? fact.data.emulator : null
}
