import { Fault } from '../util/fault.ts'
import type { MachineRunner } from './machine-runner.ts'
import { withJobStatus } from './settle-machine.ts'
import type { TestMachine } from './test-machine.ts'

/** What guests and their processes do without being asked: a test plays it by hand. */
export class TestGuests {
  readonly #runner: MachineRunner

  constructor(runner: MachineRunner) {
    this.#runner = runner
  }

  /** The guest powers itself down. */
  powerOff(uuid: string): void {
    this.#runner.end(this.#running(uuid).uuid, [
      { kind: 'guestShutdown', uuid },
      { kind: 'ended', uuid, how: 'shutdown', detail: 'the guest powered down' },
    ])
  }

  /** The guest resets itself. */
  reset(uuid: string): void {
    this.#runner.put({ machine: this.#running(uuid), facts: [{ kind: 'reset', uuid }] })
  }

  /** The guest's kernel panics. */
  panic(uuid: string): void {
    this.#runner.put({ machine: this.#running(uuid), facts: [{ kind: 'guestPanicked', uuid }] })
  }

  /** The process ends by a fault of its own. */
  crash(uuid: string): void {
    this.#runner.end(this.#running(uuid).uuid, [{ kind: 'ended', uuid, how: 'crashed', detail: 'the process aborted' }])
  }

  /** Somebody kills the process. */
  kill(uuid: string): void {
    this.#runner.end(this.#running(uuid).uuid, [{ kind: 'ended', uuid, how: 'killed', detail: 'killed by signal 9' }])
  }

  /** A block job meets an error, as when the target's disk is full. */
  failJob(uuid: string, jobId: string, error: string): void {
    const machine = this.#running(uuid)
    const job = machine.jobs.find((candidate) => candidate.jobId === jobId)
    if (job === undefined) throw new Fault('block_job_missing', `Cannot fail block job ${jobId}: there is no such job`)
    this.#runner.put(withJobStatus(machine, { ...job, error }, 'aborting'))
  }

  #running(uuid: string): TestMachine {
    const machine = this.#runner.current(uuid)
    if (machine === null) throw new Fault('operation_invalid', `Cannot play guest ${uuid}: it is not running`)
    return machine
  }
}
