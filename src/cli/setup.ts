import { accessSync, constants, readFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { createInterface } from 'node:readline/promises'
import { parseArgs } from 'node:util'
import { bundleProgram } from './bundle-program.ts'
import { installPackages } from './install-packages.ts'
import { isPackagePresent } from './is-package-present.ts'
import { openKvmToGroup, readKvmFacts } from './kvm-device.ts'
import type { SetupPackage } from './setup-packages.ts'
import { planSetup, type SetupPlan, wantedPackages } from './setup-plan.ts'

const USAGE = `Usage: npm run setup -- [--dev] [--yes]
Installs the Debian packages that chronovisor needs and that are missing, opens /dev/kvm to group kvm, and bundles the
program, which then starts sooner.
  --dev   also what the tests and comparisons need (implied by CI=true)
  --yes   do not ask (nor with CI=true, nor without a terminal)
Where it may not install (not root, not Debian or Ubuntu) it prints the lines for the operator and succeeds.
`

/** What `chronovisor setup` was asked for. */
export type SetupOptions = { readonly dev: boolean; readonly yes: boolean }

/** Makes the machine and the program ready, or says what an operator has to type. Ends with the exit code: 1 only if an installation failed. */
export async function setup(options: SetupOptions): Promise<number> {
  const wanted = wantedPackages(options.dev)
  const missing = wanted.filter((row) => !isPackagePresent(row.presence))
  const isRoot = process.getuid?.() === 0
  const plan = planSetup({ missing, isRoot, hasApt: hasApt(), kvm: readKvmFacts(), userName: userInfo().username })
  say(missing.length === 0 ? `All ${wanted.length} packages are installed.` : missingText(missing))
  try {
    const installed = await install(plan, options)
    if (plan.openKvm) openKvm()
    say(await bundled())
    tell(plan, installed ? [] : [installLine(plan.install)])
    return 0
  } catch (error) {
    say(error instanceof Error ? error.message : String(error))
    tell(plan, [installLine(plan.install)])
    return 1
  }
}

/** Returns false when somebody at the terminal said no. */
async function install(plan: SetupPlan, options: SetupOptions): Promise<boolean> {
  if (plan.install.length === 0) return true
  if (!options.yes && process.stdin.isTTY && process.stdout.isTTY && !(await confirmed())) return false
  const unavailable = installPackages(plan.install)
  for (const row of unavailable) say(`This release has no package ${row.package} (${row.neededFor}): left out.`)
  say(`Installed ${plan.install.length - unavailable.length} packages.`)
  return true
}

/** Without it everything works, only the start takes longer: no reason to fail. */
async function bundled(): Promise<string> {
  try {
    return await bundleProgram()
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return `Cannot bundle the program: ${why}. It runs from its source.`
  }
}

function openKvm(): void {
  openKvmToGroup()
  say('/dev/kvm now belongs to root:kvm, mode 0660.')
}

function tell(plan: SetupPlan, moreLines: readonly string[]): void {
  for (const note of plan.notes) say(note)
  const lines = [...moreLines, ...plan.operatorLines]
  if (lines.length === 0) return
  say('Left to do for the operator of this machine:')
  for (const line of lines) say(`  ${line}`)
}

function missingText(missing: readonly SetupPackage[]): string {
  const width = Math.max(...missing.map((row) => row.package.length))
  const lines = missing.map((row) => `  ${row.package.padEnd(width)}  ${row.neededFor}`)
  return [`Missing packages (${missing.length}):`, ...lines].join('\n')
}

function installLine(rows: readonly SetupPackage[]): string {
  return `apt-get update && apt-get install --no-install-recommends -y ${rows.map((row) => row.package).join(' ')}`
}

async function confirmed(): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  const answer = await terminal.question('Install them now with apt-get? [Y/n] ')
  terminal.close()
  return /^(y|yes|)$/i.test(answer.trim())
}

function hasApt(): boolean {
  try {
    accessSync('/usr/bin/apt-get', constants.X_OK)
    return /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(readFileSync('/etc/os-release', 'utf8'))
  } catch {
    return false
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** Reads the command line of `npm run setup`; CI=true means --dev --yes. */
export function setupOptions(args: readonly string[], ci: string | undefined): SetupOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: { dev: { type: 'boolean' }, yes: { type: 'boolean', short: 'y' }, help: { type: 'boolean', short: 'h' } },
  })
  if (values.help) return 'help'
  const inCi = ci === 'true' || ci === '1'
  return { dev: values.dev === true || inCi, yes: values.yes === true || inCi }
}

if (import.meta.main) {
  try {
    const options = setupOptions(process.argv.slice(2), process.env['CI'])
    if (options === 'help') say(USAGE.trimEnd())
    else process.exitCode = await setup(options)
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`)
    process.exitCode = 2
  }
}
