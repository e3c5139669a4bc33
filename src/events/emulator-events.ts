import * as v from 'valibot'
import { about, fact, type FactsOf, int64, sha256Text, upcast } from './fact.ts'
import { emulatorIdentity, emulatorIdentity1, liftIdentity } from './shared-data.ts'

const capsId = about(v.string(), 'id of the capability version')
const binary = about(v.string(), 'path of the emulator')
const identity = about(emulatorIdentity, 'everything that the validity of the version depends on')
const durationMs = about(v.number(), 'how long the probe took')
const reason = v.picklist([
  'module_directory_unreadable',
  'module_directory_changed',
  'daemon_changed',
  'emulator_missing',
  'emulator_changed',
  'kvm_appeared',
  'kvm_gone',
  'host_cpu_changed',
  'microcode_changed',
  'kernel_changed',
  'cpuid_changed',
  'nested_kvm_changed',
  'secure_guest_changed',
  'cache_unreadable',
  'firmware_descriptors_changed',
  'probe_environment_changed',
  'operator_request',
])

const probedEntries = {
  capsId,
  binary,
  arch: about(v.string(), 'architecture that it emulates'),
  emulatorVersion: about(v.number(), 'its version: major * 1,000,000 + minor * 1,000 + micro'),
  package: about(v.string(), 'its package, as it says itself'),
  documentSha256: about(sha256Text, 'text with its capabilities'),
  conversationSha256: about(sha256Text, 'text with all that was asked and answered over QMP'),
}
const probed1 = v.object({ ...probedEntries, identity: emulatorIdentity1, durationMs })
const probed = v.object({ ...probedEntries, identity, durationMs })
const reprobed1 = v.object({ capsId, binary, identity: emulatorIdentity1, durationMs })
const reprobed = v.object({ capsId, binary, identity, durationMs })

const failedEntries = {
  binary,
  error: about(v.string(), 'what went wrong'),
  file: about(
    v.nullable(
      v.object({
        inode: about(int64, 'number of the file'),
        sizeBytes: about(int64, 'size of the file'),
        ctimeNs: about(int64, 'when the file was last changed'),
      }),
    ),
    'the file that was tried; null = there was none, or it is not to blame',
  ),
}
const failed1 = v.object(failedEntries)
const failed = v.object({
  ...failedEntries,
  identity: about(
    v.nullable(emulatorIdentity),
    'everything that another try depends on; null = it could not be read, or is not to blame',
  ),
})

/** Facts of one emulator binary; stream `emulator-<sha256 of its path>`. */
export const emulatorFacts = {
  EmulatorProbed: fact(2, {
    meaning: 'An emulator was asked over QMP what it can do; its answers are a new capability version.',
    data: probed,
    older: [upcast(probed1, probed, (one) => ({ ...one, identity: liftIdentity(one.identity) }))],
  }),
  EmulatorReprobed: fact(2, {
    meaning:
      'The emulator was asked again and answered the same: the capability version lives on with the new identity of the file.',
    data: reprobed,
    older: [upcast(reprobed1, reprobed, (one) => ({ ...one, identity: liftIdentity(one.identity) }))],
  }),
  EmulatorProbeFailed: fact(2, {
    meaning: 'The emulator could not be asked; it is not tried again until what is recorded here changes.',
    data: failed,
    older: [upcast(failed1, failed, (one) => ({ ...one, identity: null }))],
  }),
  EmulatorInvalidated: fact(1, {
    meaning: 'A capability version is no longer valid, for one reason of a closed list, with both compared values.',
    data: v.object({
      capsId,
      binary,
      reason: about(reason, 'why'),
      was: about(v.string(), 'what the version was made with'),
      is: about(v.string(), 'what is there now'),
      detectedBy: about(v.string(), 'procedure that found it'),
    }),
  }),
}

/** Union of {@link emulatorFacts}. */
export type EmulatorEvent = FactsOf<typeof emulatorFacts>
