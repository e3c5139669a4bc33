import * as v from 'valibot'
import { about, fact, int64, isInt64, sha256Text, upcast } from './fact.ts'

const clockJumped1 = v.object({ byMs: about(int64, 'how far; negative = back') })

const clockJumped = v.object({
  oldUs: about(v.nullable(int64), 'what it last showed, in microseconds since 1970; null = not recorded'),
  newUs: about(v.nullable(int64), 'what it shows now'),
  differenceUs: about(int64, 'how far it moved besides the time that passed; negative = back'),
})

function clamped(number: bigint): bigint {
  if (isInt64(number)) return number
  return number < 0n ? -(2n ** 63n) : 2n ** 63n - 1n
}

const observed1 = v.object({
  kernel: about(v.string(), 'release of the kernel'),
  microcode: about(v.nullable(v.string()), 'version of the CPU microcode; null = not known'),
  hostCpu: about(v.string(), 'vendor, family, model and stepping of the host CPU'),
  nestedKvm: about(v.boolean(), 'whether guests may use KVM themselves'),
  kvmUsable: about(v.boolean(), 'whether /dev/kvm could be used'),
  emulators: about(
    v.array(
      v.object({
        binary: about(v.string(), 'path of the emulator'),
        inode: about(int64, 'number of the file that the path led to'),
        sizeBytes: about(int64, 'size of that file'),
        ctimeNs: about(int64, 'when that file was last changed'),
      }),
    ),
    'the emulators that were found',
  ),
})
const observed = v.object({
  ...observed1.entries,
  daemonBuild: about(v.nullable(v.string()), 'build of this program; null = not recorded'),
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

/** Facts of the daemon and of the host it runs on; stream `node-<host uuid>`. */
export const nodeFacts = {
  DaemonStarted: fact(1, {
    meaning: 'A daemon became the writer of this log; the first event of its epoch (the fence commit).',
    data: v.object({
      pid: about(v.number(), 'process id'),
      startTicks: about(int64, 'when it started, in clock ticks since the boot'),
      bootId: about(v.string(), 'boot of the host that the ticks count from'),
      hostname: about(v.string(), 'name of the host'),
      daemonVersion: about(v.string(), 'version of this program'),
      driver: about(v.picklist(['qemu', 'test']), 'what serves the domains'),
    }),
  }),
  DaemonStopped: fact(1, {
    meaning: 'The daemon was asked to stop and did: every command was answered, domains go on.',
    data: v.object({
      pid: about(v.number(), 'process id'),
      cause: about(v.string(), 'what asked it to, such as SIGTERM'),
    }),
  }),
  HostFactsObserved: fact(2, {
    meaning: 'What the host looked like at a start of the daemon, read independently of any cached capability version.',
    data: observed,
    older: [
      upcast(observed1, observed, (one) => ({
        ...one,
        daemonBuild: null,
        cpuid: null,
        secureGuest: null,
        firmware: null,
      })),
    ],
  }),
  ClockJumped: fact(2, {
    meaning: 'The wall clock stepped back, or moved against the monotonic clock by more than the daemon tolerates.',
    data: clockJumped,
    older: [
      upcast(clockJumped1, clockJumped, ({ byMs }) => ({
        oldUs: null,
        newUs: null,
        differenceUs: clamped(byMs * 1_000n),
      })),
    ],
  }),
}
