import { Command, CommanderError } from 'commander'
import { ConfigError, readConfig, settings } from '../config.ts'
import { CliError } from './cli-error.ts'
import { exitCode } from './exit-code.ts'
import { standardOutput } from './output.ts'
import { type Subcommand, subcommands } from './subcommands.ts'

/** Settings that every subcommand takes, since they say where the daemon is. */
const placeFlags: readonly string[] = ['state-dir', 'socket-dir', 'database']

const moments = `
TIME is an RFC 3339 time, a local time as tables print it ("2026-03-03 10:00"), -2h (s, m, h, d, w ago), @POSITION, or now.
Exit codes: 0 found or done, 1 nothing found, 2 error, 3 a check has found something.`

/** The command line: reading subcommands, the daemon, and the set-up of the machine. */
function createProgram(): Command {
  const program = new Command('chronovisor')
    .description('A virtualization daemon whose only source of truth is an event log')
    .option('--config <FILE>', 'file with settings, one NAME = VALUE a line')
    .option('--json', 'write documents for programs')
    .option('--no-color', 'write no colours, also on a terminal')
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
  for (const { flag, value, meaning } of settings) {
    if (placeFlags.includes(flag)) program.option(`--${flag} <${value ?? 'VALUE'}>`, meaning)
  }
  addDaemon(program)
  // Its start waits for nothing that it does without.
  if (process.argv[2] === 'daemon') return program
  for (const subcommand of subcommands) addSubcommand(program, subcommand)
  addSetup(program)
  return program.addHelpText('after', moments)
}

function addDaemon(program: Command): void {
  const daemon = program
    .command('daemon')
    .description('run the daemon in the foreground until SIGTERM or Ctrl-C')
    .exitOverride()
  for (const { flag, value, meaning } of settings) {
    if (!placeFlags.includes(flag)) daemon.option(value === null ? `--${flag}` : `--${flag} <${value}>`, meaning)
  }
  daemon.action(async () => {
    const { runDaemon } = await import('./daemon.ts')
    process.exitCode = await runDaemon(flagsOf(daemon.optsWithGlobals()))
  })
}

function addSetup(program: Command): void {
  program
    .command('setup')
    .description('install the Debian packages that are missing, and open /dev/kvm to group kvm')
    .option('--dev', 'also what the tests and comparisons need')
    .option('-y, --yes', 'do not ask')
    .exitOverride()
    .action(async ({ dev, yes }: { readonly dev?: boolean; readonly yes?: boolean }) => {
      const { setup, setupOptions } = await import('./setup.ts')
      const options = setupOptions(
        [...(dev === true ? ['--dev'] : []), ...(yes === true ? ['--yes'] : [])],
        process.env['CI'],
      )
      if (options !== 'help') process.exitCode = await setup(options)
    })
}

/** `caps list` becomes `list` below `caps`; a group of its own is made where there is none. */
function addSubcommand(program: Command, row: Subcommand): void {
  const words = row.name.split(' ')
  const last = words.at(-1) ?? row.name
  const parent = words.length === 1 ? program : groupOf(program, words[0] ?? '')
  const command = parent.command(last).summary(row.summary).description(sentence(row.summary)).exitOverride()
  if (row.args !== undefined) command.arguments(row.args)
  for (const [flags, meaning] of row.options ?? []) command.option(flags, meaning)
  const examples = row.examples.map((example) => `  chronovisor ${example}`)
  command.addHelpText('after', ['', 'Examples:', ...examples, moments].join('\n'))
  command.action(async () => await run(command, row))
}

function groupOf(program: Command, name: string): Command {
  const existing = program.commands.find((command) => command.name() === name)
  if (existing !== undefined) return existing
  return program
    .command(name)
    .description(groups[name] ?? name)
    .exitOverride()
}

const groups: Readonly<Record<string, string>> = {
  caps: 'capability versions of emulators',
  'grpc-user': 'users of the gRPC port',
}

async function run(command: Command, row: Subcommand): Promise<void> {
  const options = command.optsWithGlobals()
  const config = readConfig(flagsOf(options))
  const out = standardOutput({ json: options['json'] === true, color: options['color'] !== false })
  const invoked = await row.load()
  const nowUs = (): bigint => BigInt(Date.now()) * 1000n
  process.exitCode = await invoked({ args: command.processedArgs.map(argument), options, out, config, nowUs })
}

/** Flags by their names on the command line, as the configuration knows them. */
function flagsOf(options: Readonly<Record<string, unknown>>): Readonly<Record<string, string | undefined>> {
  const names = ['config', ...settings.map(({ flag }) => flag)]
  const flags: Record<string, string> = {}
  for (const name of names) {
    const value = options[name.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase())]
    if (typeof value === 'string') flags[name] = value
    else if (typeof value === 'boolean') flags[name] = String(value)
  }
  return flags
}

function argument(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function sentence(summary: string): string {
  return `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`
}

/** Runs the command line of this process and sets its exit code. What the caller can mend is told in one line. */
async function main(): Promise<void> {
  try {
    await createProgram().parseAsync()
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? exitCode.found : exitCode.error
      return
    }
    process.exitCode = exitCode.error
    const expected = error instanceof CliError || error instanceof ConfigError
    process.stderr.write(`${expected ? error.message : textOf(error)}\n`)
  }
}

/** An error that nobody foresaw: its message, and with CHRONOVISOR_TRACE=1 where it came from. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return process.env['CHRONOVISOR_TRACE'] === '1' ? (error.stack ?? error.message) : error.message
}

await main()
