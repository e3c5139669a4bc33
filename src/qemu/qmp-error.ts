import { Fault } from '../util/fault.ts'

/** QEMU understood a command and answered with an error. `errorClass` is the only part that is stable enough to be compared. */
export class QmpError extends Fault {
  override readonly name: string = 'QmpError'
  readonly command: string
  /** `GenericError`, `CommandNotFound`, `DeviceNotActive`, `DeviceNotFound` or `KVMMissingCap`. */
  readonly errorClass: string
  /** QEMU's own sentence, for people. */
  readonly description: string

  constructor(command: string, answer: { readonly errorClass: string; readonly description: string }) {
    super('operation_failed', `Cannot carry out monitor command "${command}": QEMU says "${answer.description}"`)
    this.command = command
    this.errorClass = answer.errorClass
    this.description = answer.description
  }
}
