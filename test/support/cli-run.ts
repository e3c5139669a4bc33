import type { Run } from '../../src/cli/invocation.ts'
import { toJson, type Output } from '../../src/cli/output.ts'

/** What a subcommand wrote and how it ended. */
export interface CliRun {
  readonly code: number
  /** Everything for people, or all documents one after the other. */
  readonly text: string
}

/** Where the subcommands of a test look, and at what time. */
export interface CliPlace {
  readonly database: string | null
  readonly socketDir: string
  /** A directory that does not exist unless told. */
  readonly stateDir?: string
  readonly nowUs?: bigint
}

/** Calls a subcommand in this process, as the program does with these arguments and options. */
export async function runCli(
  run: Run,
  place: CliPlace,
  call: { readonly args?: readonly string[]; readonly options?: Readonly<Record<string, unknown>> } = {},
): Promise<CliRun> {
  const { args = [], options = {} } = call
  const written: string[] = []
  const out: Output = {
    isJson: options['json'] === true,
    hasColor: false,
    line: (text) => written.push(text),
    lines: (texts) => written.push(...texts),
    document: (value, form) => written.push(toJson(value, form)),
  }
  const { database, socketDir, stateDir = '/nonexistent' } = place
  const nowUs = (): bigint => place.nowUs ?? BigInt(Date.now()) * 1000n
  const code = await run({ args, options, out, config: { database, socketDir, stateDir }, nowUs })
  return { code, text: written.join('\n') }
}
