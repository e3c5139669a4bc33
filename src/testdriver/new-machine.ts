import type { RunningDomain, StartRequest } from '../driver/driver.ts'
import type { TestMachine } from './test-machine.ts'
import type { TestWorld } from './test-world.ts'

// A disk whose image the test world does not know (an ordinary file of the host).
const unknownCapacityBytes = 1_073_741_824n

/** The machine that a start makes, with its CPUs stopped. */
export function newMachine(request: StartRequest, world: TestWorld): TestMachine {
  const { definition } = request
  const nowMs = world.timers.nowMs()
  const memoryBytes = definition.memory.kib * 1024n
  const hasBalloon = (definition.devices.memballoon?.model ?? 'none') !== 'none'
  return {
    uuid: request.uuid,
    name: request.name,
    pid: world.nextPid(),
    startTicks: BigInt(Math.floor(nowMs)),
    cpus: 'prelaunch',
    atMs: nowMs,
    ranMs: 0,
    powerOffAtRanMs: null,
    memoryBytes,
    balloonBytes: hasBalloon ? (definition.currentMemory?.kib ?? definition.memory.kib) * 1024n : null,
    disks: request.disks.map(({ target, readOnly, layers }) => ({
      target,
      readOnly,
      layers,
      capacityBytes: world.image(layers[0]?.path ?? '')?.virtualSizeBytes ?? unknownCapacityBytes,
      wroteMs: 0,
    })),
    jobs: [],
  }
}

/** What a start records of a machine, so that it can be found again. */
export function runningDomain(machine: TestMachine, bootId: string): RunningDomain {
  return {
    uuid: machine.uuid,
    name: machine.name,
    process: { pid: machine.pid, startTicks: machine.startTicks, bootId },
    monitorPath: `test:${machine.uuid}`,
  }
}
