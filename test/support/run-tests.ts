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
await vitest.close()

report = [
  ...skippedToolLines(readFileSync(skippedFile, 'utf8'), (file) => relative(projectRoot, file)),
  ...(count.skipped > 0 ? [`${count.skipped} skipped`] : []),
  ...(count.passed + count.failed === 0 ? ['No test was run: no test file matches.'] : []),
  `${count.passed} passed, ${count.failed} failed`,
]
if (count.failed > 0 || count.passed === 0) process.exitCode = 1
