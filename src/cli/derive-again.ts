import { documentText, parseDocument, type StoredDocument } from '../commands/caps-document.ts'
import { deriveAnswers } from '../qemu/derive-answers.ts'
import { ProbeConversation } from '../qemu/probe-conversation.ts'
import { deriveTestAnswers, testEmulatorBinary } from '../testdriver/test-emulator.ts'
import { isFault } from '../util/fault.ts'
import { CliError } from './cli-error.ts'

/** What this program makes of a recorded conversation, as text and read. Throws {@link CliError} naming the source where it is no conversation. */
export function deriveAgain(
  conversation: string,
  { binary, source }: { readonly binary: string; readonly source: string },
): { readonly text: string; readonly document: StoredDocument } {
  try {
    const answers =
      binary === testEmulatorBinary
        ? deriveTestAnswers(conversation)
        : deriveAnswers(ProbeConversation.parse(conversation))
    const text = documentText(answers)
    return { text, document: parseDocument(text) }
  } catch (cause) {
    if (!isFault(cause)) throw cause
    throw new CliError(`Cannot derive capabilities from ${source}: ${cause.message}`, { cause })
  }
}
