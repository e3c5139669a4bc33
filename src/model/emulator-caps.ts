import type { AnyFact } from '../events/catalogue.ts'

/** Id of the capability version of one emulator that may be acted on; null while there is none. */
export type ValidCaps = string | null

/** The valid capability version after a fact. */
export function evolveValidCaps(valid: ValidCaps, event: AnyFact): ValidCaps {
  switch (event.type) {
    case 'EmulatorProbed':
    case 'EmulatorReprobed':
      return event.data.capsId
    case 'EmulatorProbeFailed':
      return null
    case 'EmulatorInvalidated':
      return event.data.capsId === valid ? null : valid
    default:
      return valid
  }
}
