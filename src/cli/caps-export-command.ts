import { exitCode } from './exit-code.ts'
import { conversationOf, findCapabilities } from './find-capabilities.ts'
import { openHistory } from './history.ts'
import type { Invocation } from './invocation.ts'

/** `chronovisor caps export`: everything that was asked and answered in the probe of a version, byte for byte as it was recorded. */
export async function capsExportCommand({ args, out, config }: Invocation): Promise<number> {
  await using history = await openHistory(config)
  const row = await findCapabilities(history, args[0] ?? '')
  const conversation = await conversationOf(history, row)
  if (out.isJson) out.document({ capsId: row.caps_id, binary: row.binary_path, conversation })
  else out.line(conversation.replace(/\n$/, ''))
  return exitCode.found
}
