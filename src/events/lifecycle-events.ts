import * as v from 'valibot'
import { fact, type FactsOf, sha256Text } from './fact.ts'
import { emulatorSeen, layerFile, ownershipChange, processIdentity } from './shared-data.ts'

const endOfRun = {
  files: v.array(layerFile),
  restored: v.array(ownershipChange),
}

/** Facts of a domain's definition and of its runs; stream `domain-<uuid>`. */
export const lifecycleFacts = {
  DomainDefined: fact(1, {
    meaning:
      'A definition was accepted: what the client sent, what was made of it, and the capability version it was judged by.',
    data: v.object({
      uuid: v.string(),
      name: v.string(),
      submittedSha256: sha256Text,
      definitionSha256: sha256Text,
      capsId: v.string(),
      emulator: emulatorSeen,
      kept: v.array(v.string()),
    }),
  }),
  DomainDefinitionFollowed: fact(1, {
    meaning:
      'The next-boot definition was changed to name the active image that a snapshot or a block job left behind.',
    data: v.object({ definitionSha256: sha256Text, disks: v.array(v.object({ disk: v.string(), path: v.string() })) }),
  }),
  DomainUndefined: fact(1, {
    meaning: 'The definition was taken away; its history stays.',
    data: v.object({ name: v.string() }),
  }),
  DomainForgotten: fact(1, {
    meaning: 'The domain has neither a definition nor a run: its chains and snapshots are not known any more.',
    data: v.object({ name: v.string() }),
  }),
  DomainAutostartChanged: fact(1, {
    meaning: 'The domain starts, or no longer starts, when the host has booted.',
    data: v.object({ autostart: v.boolean() }),
  }),
  DomainStartRequested: fact(1, {
    meaning: 'A start was asked for and is possible; the process does not exist yet.',
    data: v.object({
      name: v.string(),
      domainId: v.number(),
      definitionSha256: sha256Text,
      capsId: v.string(),
      emulator: emulatorSeen,
      paused: v.boolean(),
      vncPorts: v.array(v.number()),
      owners: v.array(ownershipChange),
      cause: v.picklist(['request', 'autostart']),
    }),
  }),
  DomainStarted: fact(1, {
    meaning: 'The domain has a process; its CPUs run unless paused.',
    data: v.object({
      domainId: v.number(),
      process: processIdentity,
      monitorPath: v.string(),
      commandLineSha256: sha256Text,
      executableSha256: sha256Text,
      virtType: v.picklist(['kvm', 'qemu', 'test']),
      terminals: v.record(v.string(), v.string()),
      vncPorts: v.array(v.number()),
      paused: v.boolean(),
    }),
  }),
  DomainStartFailed: fact(1, {
    meaning: 'A requested start left no process behind; the reason is the error that the client got.',
    data: v.object({ error: v.string(), restored: v.array(ownershipChange) }),
  }),
  DomainSuspendRequested: fact(1, { meaning: 'A pause of the CPUs was asked for.', data: v.object({}) }),
  DomainSuspended: fact(1, {
    meaning: 'The CPUs stand still.',
    data: v.object({ cause: v.picklist(['request', 'hypervisor']) }),
  }),
  DomainResumeRequested: fact(1, { meaning: 'A continuation of the CPUs was asked for.', data: v.object({}) }),
  DomainResumed: fact(1, {
    meaning: 'The CPUs run again.',
    data: v.object({ cause: v.picklist(['request', 'hypervisor']) }),
  }),
  DomainResetRequested: fact(1, { meaning: 'A hard reset was asked for.', data: v.object({}) }),
  DomainReset: fact(1, {
    meaning: 'The machine was reset without a restart of its process.',
    data: v.object({ cause: v.picklist(['request', 'guest']) }),
  }),
  DomainShutdownRequested: fact(1, {
    meaning: 'The guest was asked to power down; it may take its time or refuse.',
    data: v.object({}),
  }),
  DomainPowerButtonPressed: fact(1, {
    meaning: 'The request to power down was handed to the guest.',
    data: v.object({}),
  }),
  DomainDestroyRequested: fact(1, { meaning: 'An end by force was asked for.', data: v.object({}) }),
  DomainDestroyed: fact(1, {
    meaning: 'The process was ended on request; the files are recorded as it left them.',
    data: v.object(endOfRun),
  }),
  DomainShutOff: fact(1, {
    meaning: 'The run ended without being destroyed: by the guest, by somebody outside, or because the host rebooted.',
    data: v.object({
      ...endOfRun,
      reason: v.picklist(['shutdown', 'host_rebooted', 'process_gone']),
      detail: v.string(),
    }),
  }),
  DomainCrashed: fact(1, {
    meaning: 'The process died by itself, or the guest panicked.',
    data: v.object({ ...endOfRun, detail: v.string() }),
  }),
  CommandFailed: fact(1, {
    meaning: 'An intent on this domain came to nothing; says which, why, and that nothing was changed.',
    data: v.object({ intent: v.string(), error: v.string() }),
  }),
  TaskAborted: fact(1, {
    meaning: 'A task ended because its capability version was invalidated after its first side effect.',
    data: v.object({ capsId: v.string(), reason: v.string() }),
  }),
}

/** Union of {@link lifecycleFacts}. */
export type LifecycleEvent = FactsOf<typeof lifecycleFacts>
