// `npm test`: runs vitest, then says what was skipped and why, and last the plain line `N passed, N failed`.
import { mkdtempSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseCLI, startVitest } from 'vitest/node'
import { countTests, skippedToolLines } from './test-summary.ts'
import { skippedToolsVariable } from './require-tool.ts'

const projectRoot = fileURLToPath(new URL('../..', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'chronovisor-test-'))
const skippedFile = join(scratch, 'skipped-tools')
writeFileSync(skippedFile, '')
process.env[skippedToolsVariable] = skippedFile

const { filter, options } = parseCLI(['vitest', 'run', ...process.argv.slice(2)])
const config = fileURLToPath(new URL('../vitest.config.ts', import.meta.url))
const vitest = await startVitest('test', filter, { ...options, config, root: projectRoot, watch: false, run: true })
const count = countTests(vitest.state.getTestModules(), vitest.state.getUnhandledErrors().length)
await vitest.close()

const report = [
  ...skippedToolLines(readFileSync(skippedFile, 'utf8'), (file) => relative(projectRoot, file)),
  ...(count.passed + count.failed === 0 ? ['No test was run: no test file matches.'] : []),
  ...(count.skipped > 0 ? [`${count.skipped} skipped`] : []),
  `${count.passed} passed, ${count.failed} failed`,
]
rmSync(scratch, { recursive: true, force: true })
if (count.failed > 0 || count.passed === 0) process.exitCode = 1
// At the very end, after everything that vitest itself still prints.
process.once('exit', () => writeSync(1, `\n${report.join('\n')}\n`))
