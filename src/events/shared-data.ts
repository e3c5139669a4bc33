import * as v from 'valibot'
import { about, int64, sha256Text } from './fact.ts'

/** What `stat` said of a file: equal later means that nobody touched it. */
export const fileIdentity = v.object({
  device: about(int64, 'number of the file system'),
  inode: about(int64, 'number of the file in it'),
  sizeBytes: about(int64, 'size of the file'),
  mtimeNs: about(int64, 'when its content was last changed'),
  ctimeNs: about(int64, 'when its content or its owner was last changed'),
})

/** One file of a backing chain. The index is unique within the domain and names the block nodes. */
export const layer = v.object({
  index: about(v.number(), 'number of the layer within the domain; never used again'),
  path: about(v.string(), 'path of the image'),
  format: about(v.picklist(['qcow2', 'raw']), 'format of the image'),
  virtualSizeBytes: about(int64, 'size of the disk that it holds, as the guest sees it'),
  file: about(fileIdentity, 'the file as it was'),
})

/** Identity of one layer's file at the end of a run or at a verification. */
export const layerFile = v.object({
  index: about(v.number(), 'number of the layer within the domain'),
  path: about(v.string(), 'path of the image'),
  file: about(v.nullable(fileIdentity), 'the file as it was; null = it was not there'),
})

/** A change of a file's owner made for QEMU, so that it can be taken back after any crash. */
export const ownershipChange = v.object({
  path: about(v.string(), 'path of the file'),
  fromUid: about(v.number(), 'user that owned it'),
  fromGid: about(v.number(), 'group that owned it'),
  fromMode: about(v.number(), 'permission bits that it had'),
  toUid: about(v.number(), 'user that it was given to'),
  toGid: about(v.number(), 'group that it was given to'),
})

/** Identity of a process: pids are reused and hosts reboot, so a pid alone is nobody. */
export const processIdentity = v.object({
  pid: about(v.number(), 'process id'),
  startTicks: about(int64, 'when it started, in clock ticks since the boot'),
  bootId: about(v.string(), 'boot of the host that the ticks count from'),
})

/** The stat of the emulator that a task saw when it took its capability version: what an audit compares. */
export const emulatorSeen = v.object({
  binary: about(v.string(), 'path of the emulator'),
  inode: about(int64, 'number of the file that the path led to'),
  sizeBytes: about(int64, 'size of that file'),
  ctimeNs: about(int64, 'when that file was last changed'),
})

/** {@link emulatorIdentity} as it was recorded at first. */
export const emulatorIdentity1 = v.object({
  resolvedPath: about(v.string(), 'what the path leads to behind all links'),
  device: about(int64, 'number of its file system'),
  inode: about(int64, 'number of the file in it'),
  sizeBytes: about(int64, 'size of the file'),
  ctimeNs: about(int64, 'when the file was last changed'),
  sha256: about(sha256Text, 'hash of its content; of both contents where the file is a script around another program'),
  executablePath: about(v.string(), 'the program that really ran, where the file is a script around it'),
  kvmUsable: about(v.boolean(), 'whether it could use /dev/kvm'),
  moduleDirectory: about(v.nullable(v.string()), 'where it loads its modules from; null = it has none'),
  moduleDirectoryMtimeNs: about(v.nullable(int64), 'when that directory was last changed; null = there is none'),
  kernel: about(v.string(), 'release of the kernel'),
  microcode: about(v.nullable(v.string()), 'version of the CPU microcode; null = not known'),
  hostCpu: about(v.string(), 'vendor, family, model and stepping of the host CPU'),
  nestedKvm: about(v.boolean(), 'whether guests may use KVM themselves'),
  uid: about(v.number(), 'user that it was probed as'),
  gid: about(v.number(), 'group that it was probed as'),
})

/** Everything that the validity of a capability version depends on, as it was when the emulator was probed. */
export const emulatorIdentity = v.object({
  ...emulatorIdentity1.entries,
  executable: about(
    v.nullable(
      v.object({
        device: about(int64, 'number of its file system'),
        inode: about(int64, 'number of the file in it'),
        sizeBytes: about(int64, 'size of the file'),
        ctimeNs: about(int64, 'when the file was last changed'),
      }),
    ),
    'the file of the program that really ran; null = it is the emulator itself, or was not recorded',
  ),
  daemonBuild: about(v.nullable(v.string()), 'build of this program that asked; null = not recorded'),
  cpuid: about(
    v.nullable(sha256Text),
    'hash of the CPU features that KVM can give to guests; null = KVM could not be asked, or not recorded',
  ),
  secureGuest: about(
    v.nullable(v.string()),
    'what the host had for guests whose memory it cannot read; null = not recorded',
  ),
  firmware: about(v.nullable(sha256Text), 'hash over the descriptors of firmware; null = not recorded'),
})

type Recorded1 = v.InferOutput<typeof emulatorIdentity1>

/** What the first form of an identity did not record. */
export function liftIdentity<Identity extends Readonly<Recorded1>>(identity: Identity) {
  return { ...identity, executable: null, daemonBuild: null, cpuid: null, secureGuest: null, firmware: null }
}
