/** Where a subcommand writes: lines for people, or documents for programs. */
export interface Output {
  /** True where `--json` was given: then only documents are written. */
  readonly isJson: boolean
  readonly hasColor: boolean
  line(text: string): void
  lines(texts: readonly string[]): void
  /** One document; bigint as decimal strings. `compact` puts it on one line (JSON lines). */
  document(value: unknown, options?: { readonly compact: boolean }): void
}

/** What a text stands for, which decides its colour. */
export type Tone = 'heading' | 'good' | 'bad' | 'faint'

const codes: Readonly<Record<Tone, string>> = { heading: '1', good: '32', bad: '31', faint: '2' }

/** The text in a colour of the terminal, where colours are wanted. */
export function toned(out: Pick<Output, 'hasColor'>, tone: Tone, text: string): string {
  return out.hasColor ? `\u001B[${codes[tone]}m${text}\u001B[0m` : text
}

/** JSON in which a bigint is a decimal string, as in the log. */
export function toJson(value: unknown, { compact }: { readonly compact: boolean } = { compact: false }): string {
  const text = JSON.stringify(
    value,
    (_key, part: unknown) => (typeof part === 'bigint' ? part.toString() : part),
    compact ? undefined : 2,
  )
  return text ?? 'null'
}

/** The process's standard output. A reader that goes away (`| head`) ends the program without a word. */
export function standardOutput(wanted: { readonly json: boolean; readonly color: boolean }): Output {
  process.stdout.on('error', endQuietly)
  const terminal = process.stdout.isTTY && process.env['TERM'] !== 'dumb' && (process.env['NO_COLOR'] ?? '') === ''
  const write = (text: string): void => void process.stdout.write(`${text}\n`)
  return {
    isJson: wanted.json,
    hasColor: wanted.color && terminal && !wanted.json,
    line: write,
    lines: (texts) => {
      if (texts.length > 0) write(texts.join('\n'))
    },
    document: (value, options) => write(toJson(value, options)),
  }
}

function endQuietly(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
}
