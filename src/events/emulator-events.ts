import * as v from 'valibot'
import { fact, type FactsOf, int64, sha256Text } from './fact.ts'
import { emulatorIdentity } from './shared-data.ts'

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
      capsId: v.string(),
      binary: v.string(),
      arch: v.string(),
      emulatorVersion: v.number(),
      package: v.string(),
      documentSha256: sha256Text,
      conversationSha256: sha256Text,
      identity: emulatorIdentity,
      durationMs: v.number(),
    }),
  }),
  EmulatorReprobed: fact(1, {
    meaning:
      'The emulator was asked again and answered the same: the capability version lives on with the new identity of the file.',
    data: v.object({ capsId: v.string(), binary: v.string(), identity: emulatorIdentity, durationMs: v.number() }),
  }),
  EmulatorProbeFailed: fact(1, {
    meaning: 'The emulator could not be asked; it is not tried again until what is recorded here changes.',
    data: v.object({
      binary: v.string(),
      error: v.string(),
      file: v.nullable(v.object({ inode: int64, sizeBytes: int64, ctimeNs: int64 })),
    }),
  }),
  EmulatorInvalidated: fact(1, {
    meaning: 'A capability version is no longer valid, for one reason of a closed list, with both compared values.',
    data: v.object({
      capsId: v.string(),
      binary: v.string(),
      reason,
      was: v.string(),
      is: v.string(),
      detectedBy: v.string(),
    }),
  }),
}

/** Union of {@link emulatorFacts}. */
export type EmulatorEvent = FactsOf<typeof emulatorFacts>
