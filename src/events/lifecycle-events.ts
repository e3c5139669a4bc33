import * as v from 'valibot'
import { about, fact, type FactsOf, sha256Text } from './fact.ts'
import { emulatorSeen, layerFile, ownershipChange, processIdentity } from './shared-data.ts'

const name = about(v.string(), 'name of the domain')
const capsId = about(v.string(), 'capability version that it was judged by')
const emulator = about(emulatorSeen, 'the emulator as the task saw it when it took the version')
const definitionSha256 = about(sha256Text, 'text of the definition as it is kept')
const vncPorts = about(v.array(about(v.number(), 'a TCP port')), 'ports of its VNC displays')
const paused = about(v.boolean(), 'whether its CPUs stand still at first')
const restored = about(v.array(ownershipChange), 'files that were given back to who owned them before')
const byWhom = about(v.picklist(['request', 'hypervisor']), 'whether a client asked for it, or it came by itself')
const endOfRun = {
  files: about(v.array(layerFile), 'the images as the run left them'),
  restored,
}

/** Facts of a domain's definition and of its runs; stream `domain-<uuid>`. */
export const lifecycleFacts = {
  DomainDefined: fact(1, {
    meaning:
      'A definition was accepted: what the client sent, what was made of it, and the capability version it was judged by.',
    data: v.object({
      uuid: about(v.string(), 'UUID of the domain'),
      name,
      submittedSha256: about(sha256Text, 'text that the client sent, byte for byte'),
      definitionSha256,
      capsId,
      emulator,
      kept: about(v.array(about(v.string(), 'an element')), 'elements that are not understood and kept as they came'),
    }),
  }),
  DomainDefinitionFollowed: fact(1, {
    meaning:
      'The next-boot definition was changed to name the active image that a snapshot or a block job left behind.',
    data: v.object({
      definitionSha256,
      disks: about(
        v.array(
          v.object({
            disk: about(v.string(), 'target of the disk, such as vda'),
            path: about(v.string(), 'path of its active image'),
          }),
        ),
        'disks that name another image now',
      ),
    }),
  }),
  DomainUndefined: fact(1, {
    meaning: 'The definition was taken away; its history stays.',
    data: v.object({ name }),
  }),
  DomainForgotten: fact(1, {
    meaning: 'The domain has neither a definition nor a run: its chains and snapshots are not known any more.',
    data: v.object({ name }),
  }),
  DomainAutostartChanged: fact(1, {
    meaning: 'The domain starts, or no longer starts, when the host has booted.',
    data: v.object({ autostart: about(v.boolean(), 'whether it starts with the host') }),
  }),
  DomainStartRequested: fact(1, {
    meaning: 'A start was asked for and is possible; the process does not exist yet.',
    data: v.object({
      name,
      domainId: about(v.number(), 'number of the run, as clients see it'),
      definitionSha256,
      capsId,
      emulator,
      paused,
      vncPorts,
      owners: about(v.array(ownershipChange), 'files that are given to QEMU for the run'),
      cause: about(v.picklist(['request', 'autostart']), 'whether a client asked for it, or it starts with the host'),
    }),
  }),
  DomainStarted: fact(1, {
    meaning: 'The domain has a process; its CPUs run unless paused.',
    data: v.object({
      domainId: about(v.number(), 'number of the run, as clients see it'),
      process: about(processIdentity, 'the process that it lives in'),
      monitorPath: about(v.string(), 'path of the socket of its QMP monitor'),
      commandLineSha256: about(sha256Text, 'text of the command line'),
      executableSha256: about(sha256Text, 'hash of the program that runs'),
      virtType: about(v.picklist(['kvm', 'qemu', 'test']), 'by KVM, by emulation, or by the driver without QEMU'),
      terminals: about(
        v.record(v.string(), about(v.string(), 'path of a terminal')),
        'pseudo terminals of its consoles by the alias of the device',
      ),
      vncPorts,
      paused,
    }),
  }),
  DomainStartFailed: fact(1, {
    meaning: 'A requested start left no process behind; the reason is the error that the client got.',
    data: v.object({ error: about(v.string(), 'what the client was told'), restored }),
  }),
  DomainSuspendRequested: fact(1, { meaning: 'A pause of the CPUs was asked for.', data: v.object({}) }),
  DomainSuspended: fact(1, {
    meaning: 'The CPUs stand still.',
    data: v.object({ cause: byWhom }),
  }),
  DomainResumeRequested: fact(1, { meaning: 'A continuation of the CPUs was asked for.', data: v.object({}) }),
  DomainResumed: fact(1, {
    meaning: 'The CPUs run again.',
    data: v.object({ cause: byWhom }),
  }),
  DomainResetRequested: fact(1, { meaning: 'A hard reset was asked for.', data: v.object({}) }),
  DomainReset: fact(1, {
    meaning: 'The machine was reset without a restart of its process.',
    data: v.object({
      cause: about(v.picklist(['request', 'guest']), 'whether a client asked for it, or the guest did it'),
    }),
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
      reason: about(v.picklist(['shutdown', 'host_rebooted', 'process_gone']), 'how it ended'),
      detail: about(v.string(), 'what else is known of it; may be empty'),
    }),
  }),
  DomainCrashed: fact(1, {
    meaning: 'The process died by itself, or the guest panicked.',
    data: v.object({ ...endOfRun, detail: about(v.string(), 'what is known of it; may be empty') }),
  }),
  CommandFailed: fact(1, {
    meaning: 'An intent on this domain came to nothing; says which, why, and that nothing was changed.',
    data: v.object({
      intent: about(v.string(), 'type of the event that said what was wanted'),
      error: about(v.string(), 'what the client was told'),
    }),
  }),
  TaskAborted: fact(1, {
    meaning: 'A task ended because its capability version was invalidated after its first side effect.',
    data: v.object({
      capsId: about(v.string(), 'the capability version that it stood on'),
      reason: about(v.string(), 'why that version is no longer valid, with both values'),
    }),
  }),
}

/** Union of {@link lifecycleFacts}. */
export type LifecycleEvent = FactsOf<typeof lifecycleFacts>
