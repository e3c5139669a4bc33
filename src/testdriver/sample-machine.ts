import type { DomainSample } from '../driver/driver.ts'
import type { TestDisk, TestMachine } from './test-machine.ts'

// A guest of the test driver is a tenth busy, reads 1 MiB and writes half of that per second.
const cpuNsPerMs = 100_000n
const readBytesPerMs = 1024n
const writtenBytesPerMs = 512n
const requestBytes = 4096n
const requestNs = 50_000n
const flushEveryMs = 1000n

/** One reading of a machine whose counters are right for this moment; a pure function of how long it ran. */
export function sampleMachine(machine: TestMachine): DomainSample {
  const ranMs = BigInt(Math.floor(machine.ranMs))
  const cpuTimeNs = ranMs * cpuNsPerMs
  return {
    atMs: machine.atMs,
    paused: machine.cpus !== 'running',
    cpuTimeNs,
    userTimeNs: (cpuTimeNs * 3n) / 4n,
    systemTimeNs: cpuTimeNs / 4n,
    balloonBytes: machine.balloonBytes,
    residentBytes: machine.memoryBytes / 4n,
    disks: machine.disks.map((disk) => sampleDisk(disk, ranMs)),
  }
}

function sampleDisk(disk: TestDisk, ranMs: bigint): DomainSample['disks'][number] {
  const wroteMs = BigInt(Math.floor(disk.wroteMs))
  const readRequests = (ranMs * readBytesPerMs) / requestBytes
  const writeRequests = (wroteMs * writtenBytesPerMs) / requestBytes
  const flushRequests = wroteMs / flushEveryMs
  const writeBytes = writeRequests * requestBytes
  return {
    target: disk.target,
    readRequests,
    readBytes: readRequests * requestBytes,
    readTimeNs: readRequests * requestNs,
    writeRequests,
    writeBytes,
    writeTimeNs: writeRequests * requestNs,
    flushRequests,
    flushTimeNs: flushRequests * requestNs,
    capacityBytes: disk.capacityBytes,
    allocationBytes: writeBytes < disk.capacityBytes ? writeBytes : disk.capacityBytes,
  }
}
