import { writeSync } from 'node:fs'

/** The log for people: lines of JSON in, words out on standard error. */
export interface PrettyLines {
  write(line: string): void
  /** Loads what makes words of lines, if no line has done so before. */
  load(): Promise<void>
}

/** Makes them; the code that words a line takes longer to load than many starts have something to say, so it is loaded with the first one. */
export function prettyLines({ colorize }: { readonly colorize: boolean }): PrettyLines {
  const waiting: string[] = []
  let worded: { write(line: string): unknown } | null = null
  let loading: Promise<void> | null = null
  const load = async (): Promise<void> => {
    const { default: pretty } = await import('pino-pretty')
    const translateTime = 'SYS:yyyy-mm-dd HH:MM:ss.l'
    worded = pretty({ colorize, destination: 2, sync: false, translateTime, singleLine: true })
    for (const line of waiting.splice(0)) worded.write(line)
  }
  // An end in this moment must not swallow what led to it.
  process.once('exit', () => {
    for (const line of waiting) writeSync(2, line)
  })
  const lines: PrettyLines = {
    write(line) {
      if (worded !== null) worded.write(line)
      else {
        waiting.push(line)
        lines.load().catch(() => undefined) // the lines are written as they are at the end
      }
    },
    load: async () => await (loading ??= load()),
  }
  return lines
}
