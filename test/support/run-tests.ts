// `npm test`: runs vitest, then says what was skipped and why, and last the plain line `N passed, N failed`.
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseCLI, startVitest } from 'vitest/node'
import { countTests, skippedToolLines } from './test-summary.ts'
import { type SkippedTool, skippedToolsVariable } from './require-tool.ts'
import { embeddedServerName, testedServers } from './tested-servers.ts'

const projectRoot = fileURLToPath(new URL('../..', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'chronovisor-test-'))
const skippedFile = join(scratch, 'skipped-tools')
writeFileSync(skippedFile, '')
process.env[skippedToolsVariable] = skippedFile

// Said at the very end, after everything that vitest itself still prints; this is what stands if the run breaks off.
let report = ['The run broke off.', '0 passed, 1 failed']
process.once('exit', () => {
  rmSync(scratch, { recursive: true, force: true })
  writeSync(1, `\n${report.join('\n')}\n`)
})

const { filter, options } = parseCLI(['vitest', 'run', ...process.argv.slice(2)])
const config = fileURLToPath(new URL('../vitest.config.ts', import.meta.url))
const vitest = await startVitest('test', filter, { ...options, config, root: projectRoot, watch: false, run: true })
const count = countTests(vitest.state.getTestModules(), vitest.state.getUnhandledErrors().length)
const modules = vitest.state.getTestModules()
await vitest.close()

// What did not run a second time for want of the other server is told like every other test that was left out.
if (!testedServers().some(({ env }) => env['CHRONOVISOR_TEST_POSTGRES'] === 'debian')) {
  const reason = 'these ran on the embedded PostgreSQL only (npm run setup -- --dev installs the other one)'
  const once = modules.filter(({ project }) => project.name === embeddedServerName)
  for (const { moduleId } of once) {
    const skipped: SkippedTool = { tool: 'postgresql-15', reason, testFile: moduleId }
    appendFileSync(skippedFile, `${JSON.stringify(skipped)}\n`)
  }
}

report = [
  ...skippedToolLines(readFileSync(skippedFile, 'utf8'), (file) => relative(projectRoot, file)),
  ...(count.skipped > 0 ? [`${count.skipped} skipped`] : []),
  ...(count.passed + count.failed === 0 ? ['No test was run: no test file matches.'] : []),
  `${count.passed} passed, ${count.failed} failed`,
]
if (count.failed > 0 || count.passed === 0) process.exitCode = 1
