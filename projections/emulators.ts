import type { FactOf } from '../src/events/catalogue.ts'
import type { EmulatorEvent } from '../src/events/emulator-events.ts'
import { projection } from '../src/readmodel/projection.ts'
import { table, upsert } from '../src/readmodel/table.ts'

/** An emulator binary with its latest capability version. */
export interface EmulatorRow {
  readonly binary_path: string
  readonly caps_id: string
  readonly state: 'valid' | 'invalidated' | 'unprobeable'
  readonly arch: string
  readonly emulator_version: number
  readonly package: string
  readonly document_sha256: string
  readonly conversation_sha256: string
  readonly resolved_path: string
  readonly device: bigint
  readonly inode: bigint
  readonly size_bytes: bigint
  readonly ctime_ns: bigint
  readonly content_sha256: string
  readonly executable_path: string
  readonly kvm_usable: boolean
  readonly module_directory: string | null
  readonly module_directory_mtime_ns: bigint | null
  readonly kernel: string
  readonly microcode: string | null
  readonly host_cpu: string
  readonly nested_kvm: boolean
  readonly uid: number
  readonly gid: number
  readonly executable_device: bigint | null
  readonly executable_inode: bigint | null
  readonly executable_size_bytes: bigint | null
  readonly executable_ctime_ns: bigint | null
  readonly daemon_build: string | null
  readonly cpuid: string | null
  readonly secure_guest: string | null
  readonly firmware: string | null
  readonly probed_at_us: bigint
  readonly invalidated_reason: string | null
  readonly invalidated_was: string | null
  readonly invalidated_is: string | null
  readonly error: string | null
}

/** Emulators by path. */
export const emulatorsTable = table<EmulatorRow>()('emulators', ['binary_path'], {})

type Identity = FactOf<'EmulatorProbed'>['data']['identity']

const stillValid = { invalidated_reason: null, invalidated_was: null, invalidated_is: null, error: null } as const

/** Read model of capability versions. */
export const emulators = projection<EmulatorEvent>()({
  name: 'emulators',
  version: 2,
  live: true,
  tables: { emulators: emulatorsTable },
  on: {
    EmulatorProbed: (event, _rows, recorded) => [
      upsert(emulatorsTable, {
        binary_path: event.data.binary,
        caps_id: event.data.capsId,
        state: 'valid',
        arch: event.data.arch,
        emulator_version: event.data.emulatorVersion,
        package: event.data.package,
        document_sha256: event.data.documentSha256,
        conversation_sha256: event.data.conversationSha256,
        ...identityColumns(event.data.identity),
        probed_at_us: recorded.recordedAtUs,
        ...stillValid,
      }),
    ],
    EmulatorReprobed: (event, tables, recorded) => {
      const row = tables.emulators.get({ binary_path: event.data.binary })
      if (row === undefined) return []
      return [
        upsert(emulatorsTable, {
          ...row,
          state: 'valid',
          ...identityColumns(event.data.identity),
          probed_at_us: recorded.recordedAtUs,
          ...stillValid,
        }),
      ]
    },
    EmulatorProbeFailed: (event, tables) => {
      const row = tables.emulators.get({ binary_path: event.data.binary }) ?? neverProbed(event.data.binary)
      const { file, error, identity } = event.data
      if (identity !== null)
        return [upsert(emulatorsTable, { ...row, ...identityColumns(identity), state: 'unprobeable', error })]
      // Without a file to blame nothing must look unchanged later.
      const seen = {
        content_sha256: '',
        inode: file?.inode ?? 0n,
        size_bytes: file?.sizeBytes ?? 0n,
        ctime_ns: file?.ctimeNs ?? 0n,
      }
      return [upsert(emulatorsTable, { ...row, ...seen, state: 'unprobeable', error })]
    },
    EmulatorInvalidated: (event, tables) => {
      const row = tables.emulators.get({ binary_path: event.data.binary })
      if (row === undefined || row.caps_id !== event.data.capsId) return []
      const { reason, was, is } = event.data
      return [
        upsert(emulatorsTable, {
          ...row,
          state: 'invalidated',
          invalidated_reason: reason,
          invalidated_was: was,
          invalidated_is: is,
        }),
      ]
    },
  },
})

function identityColumns(identity: Identity) {
  return {
    resolved_path: identity.resolvedPath,
    device: identity.device,
    inode: identity.inode,
    size_bytes: identity.sizeBytes,
    ctime_ns: identity.ctimeNs,
    content_sha256: identity.sha256,
    executable_path: identity.executablePath,
    kvm_usable: identity.kvmUsable,
    module_directory: identity.moduleDirectory,
    module_directory_mtime_ns: identity.moduleDirectoryMtimeNs,
    kernel: identity.kernel,
    microcode: identity.microcode,
    host_cpu: identity.hostCpu,
    nested_kvm: identity.nestedKvm,
    uid: identity.uid,
    gid: identity.gid,
    executable_device: identity.executable?.device ?? null,
    executable_inode: identity.executable?.inode ?? null,
    executable_size_bytes: identity.executable?.sizeBytes ?? null,
    executable_ctime_ns: identity.executable?.ctimeNs ?? null,
    daemon_build: identity.daemonBuild,
    cpuid: identity.cpuid,
    secure_guest: identity.secureGuest,
    firmware: identity.firmware,
  }
}

function neverProbed(binary: string): EmulatorRow {
  return {
    binary_path: binary,
    caps_id: '',
    state: 'unprobeable',
    arch: '',
    emulator_version: 0,
    package: '',
    document_sha256: '',
    conversation_sha256: '',
    resolved_path: binary,
    device: 0n,
    inode: 0n,
    size_bytes: 0n,
    ctime_ns: 0n,
    content_sha256: '',
    executable_path: '',
    kvm_usable: false,
    module_directory: null,
    module_directory_mtime_ns: null,
    kernel: '',
    microcode: null,
    host_cpu: '',
    nested_kvm: false,
    uid: 0,
    gid: 0,
    executable_device: null,
    executable_inode: null,
    executable_size_bytes: null,
    executable_ctime_ns: null,
    daemon_build: null,
    cpuid: null,
    secure_guest: null,
    firmware: null,
    probed_at_us: 0n,
    ...stillValid,
  }
}
