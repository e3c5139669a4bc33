import { Fault, type FaultKind } from '../util/fault.ts'

/** Where and why a well-formed document is not a valid definition. */
export interface DefinitionProblem {
  /** Path of the element, for example `domain/devices/disk/target`. */
  readonly element: string
  /** Short id of the rule, for example `one-of`. */
  readonly rule: string
  /** A whole sentence that quotes the value and says what is wanted. */
  readonly message: string
  /** `xml_error` (default), or `config_unsupported` when the definition is valid but this emulator cannot do it. */
  readonly kind?: FaultKind
}

/** A definition that is refused; `element` and `rule` say by what. */
export class DefinitionError extends Fault {
  override readonly name = 'DefinitionError'
  readonly element: string
  readonly rule: string

  constructor(problem: DefinitionProblem) {
    super(problem.kind ?? 'xml_error', problem.message, { subject: problem.element })
    this.element = problem.element
    this.rule = problem.rule
  }
}
