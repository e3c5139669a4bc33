import type { Config } from '../config.ts'
import type { Output } from './output.ts'

/** One call of a subcommand: what stands on the command line, unparsed, and where to write. */
export interface Invocation {
  /** Positional arguments; an optional one that is absent is undefined. */
  readonly args: readonly (string | undefined)[]
  /** Options by their names in camel case, global ones included. */
  readonly options: Readonly<Record<string, unknown>>
  readonly out: Output
  /** Settings as the daemon reads them: flags, variables, file. */
  readonly config: Pick<Config, 'stateDir' | 'socketDir' | 'database'>
  /** Wall clock, microseconds since 1970. */
  nowUs(): bigint
}

/** A subcommand: gives the code that the program ends with. Expected failures are thrown as CliError. */
export type Run = (invocation: Invocation) => Promise<number>
