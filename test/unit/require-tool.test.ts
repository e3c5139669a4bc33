import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestModule } from 'vitest/node'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { requireTool, skippedToolsVariable } from '../support/require-tool.ts'
import { countTests, skippedToolLines } from '../support/test-summary.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cv-tools-'))
  vi.stubEnv(skippedToolsVariable, join(directory, 'skipped'))
  vi.stubEnv('CHRONOVISOR_REQUIRE', '')
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(directory, { recursive: true, force: true })
})

describe('requireTool()', () => {
  test('is true where the tool is there, and leaves no trace', () => {
    vi.stubEnv('CHRONOVISOR_CORPORA', directory)
    expect(requireTool('corpora')).toBe(true)
    expect(() => readFileSync(join(directory, 'skipped'))).toThrow('ENOENT')
  })

  test('is false where it is missing, and tells the summary why and in which file', () => {
    vi.stubEnv('CHRONOVISOR_CORPORA', join(directory, 'nowhere'))
    expect(requireTool('corpora')).toBe(false)
    const lines = skippedToolLines(readFileSync(join(directory, 'skipped'), 'utf8'), (file) =>
      file.replace(/^.*\//, ''),
    )
    expect(lines).toEqual([
      'SKIPPED, for want of a tool:',
      `  corpora: ${directory}/nowhere does not exist`,
      '    require-tool.test.ts',
      '',
    ])
  })

  test('throws where a tool is missing that CHRONOVISOR_REQUIRE names', () => {
    vi.stubEnv('CHRONOVISOR_CORPORA', join(directory, 'nowhere'))
    vi.stubEnv('CHRONOVISOR_REQUIRE', 'strace, corpora')
    expect(() => requireTool('corpora')).toThrow('Cannot skip: corpora is named in CHRONOVISOR_REQUIRE')
  })
})

describe('skippedToolLines()', () => {
  test('names each tool once, with its files, and says nothing when nothing was skipped', () => {
    const row = (tool: string, testFile: string): string => JSON.stringify({ tool, reason: 'not there', testFile })
    const recorded = [row('xvfb', 'b.ts'), row('strace', 'a.ts'), row('xvfb', 'a.ts'), row('xvfb', 'b.ts'), ''].join(
      '\n',
    )
    expect(skippedToolLines(recorded, (file) => file)).toEqual([
      'SKIPPED, for want of a tool:',
      '  strace: not there',
      '    a.ts',
      '  xvfb: not there',
      '    a.ts',
      '    b.ts',
      '',
    ])
    expect(skippedToolLines('', (file) => file)).toEqual([])
  })
})

describe('countTests()', () => {
  /** Of a finished file only the state and the results of its tests count. */
  const file = (state: string, ...results: readonly string[]): TestModule =>
    Object.create({
      state: () => state,
      children: { allTests: () => results.map((result) => ({ result: () => ({ state: result }) })) },
    })

  test('counts a file that did not load and an error outside any test as one failure each', () => {
    expect(countTests([file('passed', 'passed', 'passed', 'skipped')], 0)).toEqual({ passed: 2, failed: 0, skipped: 1 })
    expect(countTests([file('failed', 'passed', 'failed')], 0)).toEqual({ passed: 1, failed: 1, skipped: 0 })
    expect(countTests([file('failed')], 1)).toEqual({ passed: 0, failed: 2, skipped: 0 })
    expect(countTests([file('passed', 'pending')], 0)).toEqual({ passed: 0, failed: 1, skipped: 0 })
  })
})
