import { WrongExpectedRevisionError } from '../eventstore/append-errors.ts'
import { AppendCollector, type Appended, appendEvents, checkMayAppend } from './append-events.ts'
import { type AppendTarget, readAppendMessage } from './append-request.ts'
import type { CallContext } from './call-services.ts'
import { expectedRevisionFields } from './expected-revision-fields.ts'
import { MalformedMessageError, messageEncoder, wire64 } from './message-codec.ts'
import { wirePosition } from './wire-values.ts'

const encode = messageEncoder('event_store.client.streams.AppendResp')

/** `Append`: the target, then the events one by one. A wrong expected revision is an answer, everything else that fails is thrown. */
export async function append(messages: AsyncIterable<Uint8Array>, context: CallContext): Promise<Buffer> {
  let target: AppendTarget | null = null
  const collector = new AppendCollector(context.services.limits)
  for await (const bytes of messages) {
    const message = readAppendMessage(bytes)
    if ('options' in message) {
      target = message.options
      checkMayAppend(target.stream, context)
    } else {
      collector.add(message.proposedMessage)
    }
  }
  if (target === null) throw new MalformedMessageError('Cannot append: the request names no stream')
  try {
    return encode({
      success: successOf(await appendEvents(target, collector.events, { context, signal: context.signal })),
    })
  } catch (error) {
    if (error instanceof WrongExpectedRevisionError)
      return encode({
        wrongExpectedVersion: expectedRevisionFields(error, {
          current: 'currentRevision',
          expected: 'expectedRevision',
        }),
      })
    throw error
  }
}

/** What is answered to an append that was done; the same for `Append` and `BatchAppend`. */
export function successOf({ currentRevision, position }: Appended): object {
  return {
    ...(currentRevision === null ? { noStream: {} } : { currentRevision: wire64(currentRevision) }),
    ...(position === null ? { noPosition: {} } : { position: wirePosition(position) }),
  }
}
