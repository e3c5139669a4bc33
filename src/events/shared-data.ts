import * as v from 'valibot'
import { int64, sha256Text } from './fact.ts'

/** What `stat` said of a file: equal later means that nobody touched it. */
export const fileIdentity = v.object({
  device: int64,
  inode: int64,
  sizeBytes: int64,
  mtimeNs: int64,
  ctimeNs: int64,
})

/** One file of a backing chain. The index is unique within the domain and names the block nodes. */
export const layer = v.object({
  index: v.number(),
  path: v.string(),
  format: v.picklist(['qcow2', 'raw']),
  virtualSizeBytes: int64,
  file: fileIdentity,
})

/** Identity of one layer's file at the end of a run or at a verification. */
export const layerFile = v.object({ index: v.number(), path: v.string(), file: v.nullable(fileIdentity) })

/** A change of a file's owner made for QEMU, so that it can be taken back after any crash. */
export const ownershipChange = v.object({
  path: v.string(),
  fromUid: v.number(),
  fromGid: v.number(),
  fromMode: v.number(),
  toUid: v.number(),
  toGid: v.number(),
})

/** Identity of a process: pids are reused and hosts reboot, so a pid alone is nobody. */
export const processIdentity = v.object({ pid: v.number(), startTicks: int64, bootId: v.string() })

/** The stat of the emulator that a task saw when it took its capability version: what an audit compares. */
export const emulatorSeen = v.object({ binary: v.string(), inode: int64, sizeBytes: int64, ctimeNs: int64 })

/** Everything that the validity of a capability version depends on, as it was when the emulator was probed. */
export const emulatorIdentity = v.object({
  resolvedPath: v.string(),
  device: int64,
  inode: int64,
  sizeBytes: int64,
  ctimeNs: int64,
  sha256: sha256Text,
  executablePath: v.string(),
  kvmUsable: v.boolean(),
  moduleDirectory: v.nullable(v.string()),
  moduleDirectoryMtimeNs: v.nullable(int64),
  kernel: v.string(),
  microcode: v.nullable(v.string()),
  hostCpu: v.string(),
  nestedKvm: v.boolean(),
  uid: v.number(),
  gid: v.number(),
})
