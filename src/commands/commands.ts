import type { Caller } from './caller.ts'
import type { KnownEmulator, ProbeOutcome } from './probe-emulator.ts'
import type { CheckedDomain } from './check-domains.ts'
import type { Fault } from '../util/fault.ts'

/** How a domain is addressed in replies. The id is -1 while it is shut off. */
export interface DomainName {
  readonly uuid: string
  readonly name: string
  readonly id: number
}

/** Everything that front ends may ask to be changed. Each call throws a Fault that says what stands as it was; each understood refusal is recorded. */
export interface Commands {
  /** Accepts a definition, or changes the one of the same UUID. `xml` is what the client sent, byte for byte. */
  defineDomain(caller: Caller, request: { readonly xml: string; readonly validate: boolean }): Promise<DomainName>
  undefineDomain(caller: Caller, request: { readonly uuid: string; readonly dropSnapshots: boolean }): Promise<void>
  setAutostart(caller: Caller, request: { readonly uuid: string; readonly autostart: boolean }): Promise<void>
  startDomain(caller: Caller, request: { readonly uuid: string; readonly paused: boolean }): Promise<DomainName>
  suspendDomain(caller: Caller, uuid: string): Promise<void>
  resumeDomain(caller: Caller, uuid: string): Promise<void>
  shutdownDomain(caller: Caller, uuid: string): Promise<void>
  resetDomain(caller: Caller, uuid: string): Promise<void>
  /** Graceful: the guest's files are closed by a quit; when the process does not end, it is left running and the call fails. */
  destroyDomain(caller: Caller, request: { readonly uuid: string; readonly graceful: boolean }): Promise<void>
  /** External disk-only snapshots at this stage; returns the snapshot's name. */
  createSnapshot(caller: Caller, request: SnapshotRequest): Promise<string>
  deleteSnapshot(
    caller: Caller,
    request: {
      readonly uuid: string
      readonly name: string
      readonly children: boolean
      readonly childrenOnly: boolean
      readonly metadataOnly: boolean
    },
  ): Promise<void>
  /** `base` null = everything below the active image is pulled. Returns the job's id; the daemon carries the job to its end. */
  pullBlocks(
    caller: Caller,
    request: {
      readonly uuid: string
      readonly disk: string
      readonly base: string | null
      readonly bytesPerSecond: bigint
    },
  ): Promise<string>
  commitBlocks(caller: Caller, request: CommitRequest): Promise<string>
  /** Pivot: waits for READY and the pivot itself, up to the limit of waiting. Otherwise the job is cancelled; `wait` false returns at once. */
  endBlockJob(
    caller: Caller,
    request: { readonly uuid: string; readonly disk: string; readonly pivot: boolean; readonly wait: boolean },
  ): Promise<void>
  setBlockJobSpeed(
    caller: Caller,
    request: { readonly uuid: string; readonly disk: string; readonly bytesPerSecond: bigint },
  ): Promise<void>
  /** Declares the chain found on disk to be right; the operator's answer to a refused start. */
  adoptChain(caller: Caller, request: { readonly uuid: string; readonly disk: string }): Promise<readonly string[]>
  /** Throws capability versions away, so that the emulators are asked again when they are needed; null = all. Returns how many. */
  forgetCapabilities(caller: Caller, request: { readonly binary: string | null }): Promise<number>
  /** Emulators of this host and of the log; runs none of them. */
  knownEmulators(): Promise<readonly KnownEmulator[]>
  /** Asks an emulator now, whatever is known of it. */
  probeEmulator(caller: Caller, request: { readonly binary: string }): Promise<ProbeOutcome>
  /**
   * Notes a change that a front end refused by itself (no right, no such domain, an unknown flag); what a command has
   * refused is noted already. A returned promise resolves when it is recorded.
   */
  noteRefusal(caller: Caller, fault: Fault): Promise<void> | undefined
  /** What the log and the hypervisor say of every running domain; changes and records nothing. */
  checkDomains(caller: Caller): Promise<readonly CheckedDomain[]>
}

/** A snapshot as asked for: `xml` as the client sent it. */
export interface SnapshotRequest {
  readonly uuid: string
  readonly xml: string
  readonly diskOnly: boolean
  readonly reuseExternal: boolean
  readonly noMetadata: boolean
}

/** A commit as asked for. Base and top are paths, `vda[2]` or null; null base = the bottom (or, if shallow, what top stands on), null top = the active image. */
export interface CommitRequest {
  readonly uuid: string
  readonly disk: string
  readonly base: string | null
  readonly top: string | null
  readonly active: boolean
  readonly shallow: boolean
  readonly bytesPerSecond: bigint
}
