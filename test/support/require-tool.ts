import { spawnSync } from 'node:child_process'
import { appendFileSync, accessSync, constants, existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { isPackagePresent } from '../../src/cli/is-package-present.ts'
import { type SetupPackageName, setupPackages } from '../../src/cli/setup-packages.ts'

/** A Debian package of the table, the test corpora, a usable /dev/kvm, or a registry that npm can install from. */
export type ToolName = SetupPackageName | 'corpora' | 'kvm' | 'npm-registry'

/** What the tests run by `npm test` write when a tool was missing: one JSON line each, read by the summary. */
export type SkippedTool = { readonly tool: ToolName; readonly reason: string; readonly testFile: string }

/** The environment variable with the file for those lines; unset when vitest is started directly. */
export const skippedToolsVariable = 'CHRONOVISOR_SKIPPED_TOOLS'

/** The corpora of recorded cases: `$CHRONOVISOR_CORPORA` (a directory or tar), else beside the checkout. */
export function corporaPath(): string {
  const given = process.env['CHRONOVISOR_CORPORA'] ?? ''
  return given === '' ? fileURLToPath(new URL('../../../shared/corpora/libvirt-dev.tar.gz', import.meta.url)) : given
}

/**
 * Whether a test that needs `tool` can run, for `describe.skipIf(!requireTool('qemu-system-x86'))`.
 * A missing tool is said loudly and listed at the end of the run; named in CHRONOVISOR_REQUIRE (comma separated) it throws.
 */
export function requireTool(tool: ToolName): boolean {
  const reason = whyMissing(tool)
  if (reason === null) return true
  if (isRequired(tool)) throw new Error(`Cannot skip: ${tool} is named in CHRONOVISOR_REQUIRE, but ${reason}`)
  const skipped: SkippedTool = { tool, reason, testFile: expect.getState().testPath ?? 'unknown file' }
  const file = process.env[skippedToolsVariable]
  if (file === undefined) console.warn(`SKIPPED for want of ${tool}: ${reason}`)
  else appendFileSync(file, `${JSON.stringify(skipped)}\n`)
  return false
}

/** Whether CHRONOVISOR_REQUIRE names this tool, so that its absence is a failure. */
export function isRequired(tool: ToolName): boolean {
  const names = (process.env['CHRONOVISOR_REQUIRE'] ?? '').split(',').map((name) => name.trim())
  return names.includes(tool)
}

function whyMissing(tool: ToolName): string | null {
  if (tool === 'corpora') return existsSync(corporaPath()) ? null : `${corporaPath()} does not exist`
  if (tool === 'kvm') return whyNoKvm()
  if (tool === 'npm-registry') return whyNoRegistry()
  const row = setupPackages.find((candidate) => candidate.package === tool)
  if (row === undefined) throw new Error(`Cannot look for tool "${tool}": src/cli/setup-packages.ts has no such row`)
  return isPackagePresent(row.presence)
    ? null
    : `Debian's ${tool} is not installed (npm run setup -- --dev installs it)`
}

/** Asked of npm itself, which knows its registry and the way there; it leaves its answer in its cache. */
function whyNoRegistry(): string | null {
  const args = ['view', 'valibot', 'version', '--fetch-retries=0', '--fetch-timeout=20000']
  const { status } = spawnSync('npm', args, { stdio: 'ignore', timeout: 60_000 })
  return status === 0 ? null : `npm cannot reach its registry (npm ${args.slice(0, 3).join(' ')})`
}

function whyNoKvm(): string | null {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK)
    return null
  } catch (error) {
    return `/dev/kvm is not usable (${error instanceof Error ? error.message : String(error)})`
  }
}
