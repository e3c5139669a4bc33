import { deriveAgain } from './derive-again.ts'
import { diffDocuments } from './diff-documents.ts'
import { exitCode } from './exit-code.ts'
import { conversationOf, findCapabilities } from './find-capabilities.ts'
import { openHistory } from './history.ts'
import type { Invocation } from './invocation.ts'
import { toned } from './output.ts'

/** `chronovisor caps diff`: the facts by which two capability versions differ, as this program reads what was answered; 3 where they do. */
export async function capsDiffCommand({ args, out, config }: Invocation): Promise<number> {
  await using history = await openHistory(config)
  const [was, is] = await Promise.all(
    [args[0] ?? '', args[1] ?? ''].map(async (wanted) => {
      const row = await findCapabilities(history, wanted)
      const source = `the recorded conversation of "${wanted}"`
      return deriveAgain(await conversationOf(history, row), { binary: row.binary_path, source }).document
    }),
  )
  const differences = was === undefined || is === undefined ? [] : diffDocuments(was, is)
  if (out.isJson) out.document(differences)
  else {
    for (const one of differences) {
      if (one.was !== null) out.line(toned(out, 'bad', `- ${one.fact}: ${one.was}`))
      if (one.is !== null) out.line(toned(out, 'good', `+ ${one.fact}: ${one.is}`))
    }
  }
  return differences.length === 0 ? exitCode.found : exitCode.finding
}
