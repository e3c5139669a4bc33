import type { WrongExpectedRevisionError } from '../eventstore/append-errors.ts'
import { wire64 } from './message-codec.ts'

/**
 * What stands in an answer to an append whose expected revision was wrong: what was found, and what was expected. `Append` and `BatchAppend`
 * have it alike, but for the names of the two fields that hold a revision.
 */
export function expectedRevisionFields(
  { current, expected }: WrongExpectedRevisionError,
  names: { readonly current: string; readonly expected: string },
): object {
  const found = current === null ? { currentNoStream: {} } : { [names.current]: wire64(current) }
  if (typeof expected === 'bigint') return { ...found, [names.expected]: wire64(expected) }
  switch (expected) {
    case 'any':
      return { ...found, expectedAny: {} }
    case 'no_stream':
      return { ...found, expectedNoStream: {} }
    case 'stream_exists':
      return { ...found, expectedStreamExists: {} }
  }
}
