import * as v from 'valibot'
import { about, fact, type FactsOf, int64, sha256Text } from './fact.ts'
import { emulatorIdentity } from './shared-data.ts'

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

/** Facts of one emulator binary; stream `emulator-<sha256 of its path>`. */
export const emulatorFacts = {
  EmulatorProbed: fact(1, {
    meaning: 'An emulator was asked over QMP what it can do; its answers are a new capability version.',
    data: v.object({
      capsId,
      binary,
      arch: about(v.string(), 'architecture that it emulates'),
      emulatorVersion: about(v.number(), 'its version: major * 1,000,000 + minor * 1,000 + micro'),
      package: about(v.string(), 'its package, as it says itself'),
      documentSha256: about(sha256Text, 'text with its capabilities'),
      conversationSha256: about(sha256Text, 'text with all that was asked and answered over QMP'),
      identity,
      durationMs,
    }),
  }),
  EmulatorReprobed: fact(1, {
    meaning:
      'The emulator was asked again and answered the same: the capability version lives on with the new identity of the file.',
    data: v.object({ capsId, binary, identity, durationMs }),
  }),
  EmulatorProbeFailed: fact(1, {
    meaning: 'The emulator could not be asked; it is not tried again until what is recorded here changes.',
    data: v.object({
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
        'the file that was tried; null = there was none',
      ),
    }),
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
