import { parseDocument, type StoredDocument } from '../commands/caps-document.ts'
import { CliError } from './cli-error.ts'
import { deriveAgain } from './derive-again.ts'
import { diffDocuments, type DocumentDifference } from './diff-documents.ts'
import { exitCode } from './exit-code.ts'
import { conversationOf, type EmulatorVersion } from './find-capabilities.ts'
import { type History, openHistory } from './history.ts'
import type { Invocation } from './invocation.ts'
import { type Output, toned } from './output.ts'
import { ProgressLine } from './progress-line.ts'

const shownDifferences = 20

/** What a version's recorded conversation gives today, beside what was stored. */
interface Rebuilt {
  readonly capsId: string
  readonly binary: string
  /** Why nothing can be compared; null where it was. */
  readonly error: string | null
  readonly differences: readonly DocumentDifference[]
}

/** `chronovisor caps rebuild`: derives every capability version again from what was answered, without running an emulator; 3 where one comes out different. */
export async function capsRebuildCommand({ out, config }: Invocation): Promise<number> {
  await using history = await openHistory(config)
  using progress = new ProgressLine()
  const rows = await history.rows<EmulatorVersion>(
    `select distinct on (caps_id) * from emulators where caps_id <> '' order by caps_id, from_position`,
  )
  const rebuilt: Rebuilt[] = []
  for (const row of rows) {
    rebuilt.push(await rebuild(history, row))
    progress.update('deriving', { done: BigInt(rebuilt.length), total: BigInt(rows.length) })
  }
  const wrong = rebuilt.filter(({ error, differences }) => error !== null || differences.length > 0)
  if (out.isJson) out.document({ versions: rebuilt.length, different: wrong })
  else {
    for (const one of wrong) show(out, one)
    const counts = `${rebuilt.length} capability ${rebuilt.length === 1 ? 'version' : 'versions'} derived again, ${wrong.length} different`
    out.line(toned(out, wrong.length === 0 ? 'good' : 'bad', counts))
  }
  return wrong.length === 0 ? exitCode.found : exitCode.finding
}

async function rebuild(history: History, row: EmulatorVersion): Promise<Rebuilt> {
  const { caps_id: capsId, binary_path: binary } = row
  try {
    const source = `the recorded conversation of ${capsId}`
    const again = deriveAgain(await conversationOf(history, row), { binary, source })
    const text = await history.text(row.document_sha256)
    if (text === again.text) return { capsId, binary, error: null, differences: [] }
    const differences = diffDocuments(readStored(text), again.document)
    // Something that has no name of its own, such as the order of machines.
    const unnamed = { fact: 'document', was: row.document_sha256, is: 'the same facts in another order' }
    return { capsId, binary, error: null, differences: differences.length === 0 ? [unnamed] : differences }
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    return { capsId, binary, error: error.message, differences: [] }
  }
}

function readStored(text: string): StoredDocument {
  try {
    return parseDocument(text)
  } catch (cause) {
    throw new CliError('its stored document is in a form that this program does not know', { cause })
  }
}

function show(out: Output, { capsId, binary, error, differences }: Rebuilt): void {
  out.line(toned(out, 'heading', `${capsId}  ${binary}`))
  if (error !== null) out.line(`  ${error}`)
  for (const { fact, was, is } of differences.slice(0, shownDifferences))
    out.line(`  ${fact}: was ${was ?? 'not stated'}, is ${is ?? 'not stated'}`)
  if (differences.length > shownDifferences) out.line(`  and ${differences.length - shownDifferences} more`)
}
