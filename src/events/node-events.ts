import * as v from 'valibot'
import { fact, int64 } from './fact.ts'

/** Facts of the daemon and of the host it runs on; stream `node-<host uuid>`. */
export const nodeFacts = {
  DaemonStarted: fact(1, {
    meaning: 'A daemon became the writer of this log; the first event of its epoch (the fence commit).',
    data: v.object({
      pid: v.number(),
      startTicks: int64,
      bootId: v.string(),
      hostname: v.string(),
      daemonVersion: v.string(),
      driver: v.picklist(['qemu', 'test']),
    }),
  }),
  DaemonStopped: fact(1, {
    meaning: 'The daemon was asked to stop and did: every command was answered, domains go on.',
    data: v.object({ pid: v.number(), cause: v.string() }),
  }),
  HostFactsObserved: fact(1, {
    meaning: 'What the host looked like at a start of the daemon, read independently of any cached capability version.',
    data: v.object({
      kernel: v.string(),
      microcode: v.nullable(v.string()),
      hostCpu: v.string(),
      nestedKvm: v.boolean(),
      kvmUsable: v.boolean(),
      emulators: v.array(v.object({ binary: v.string(), inode: int64, sizeBytes: int64, ctimeNs: int64 })),
    }),
  }),
  ClockJumped: fact(1, {
    meaning: 'The wall clock moved against the monotonic clock by more than the daemon tolerates.',
    data: v.object({ byMs: int64 }),
  }),
}
