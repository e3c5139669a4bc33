import type { TestModule } from 'vitest/node'
import type { SkippedTool } from './require-tool.ts'

/** What a run came to. A file that did not load and an error outside any test each count as one failure. */
export type TestCount = { readonly passed: number; readonly failed: number; readonly skipped: number }

/** Counts the single tests of all files of a run. */
export function countTests(modules: readonly TestModule[], unhandledErrors: number): TestCount {
  let passed = 0
  let failed = unhandledErrors
  let skipped = 0
  for (const module of modules) {
    let failedHere = 0
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      if (state === 'passed') passed += 1
      else if (state === 'skipped') skipped += 1
      else failedHere += 1
    }
    failed += failedHere === 0 && module.state() === 'failed' ? 1 : failedHere
  }
  return { passed, failed, skipped }
}

/** The lines that say which tools were missing, why, and which test files ran without them; none if none was missing. */
export function skippedToolLines(recorded: string, nameFile: (file: string) => string): string[] {
  const rows = recorded
    .split('\n')
    .filter((line) => line !== '')
    .map(parseSkippedTool)
  const tools = [...new Set(rows.map((row) => row.tool))].toSorted()
  const lines = tools.flatMap((tool) => {
    const ofTool = rows.filter((row) => row.tool === tool)
    const files = [...new Set(ofTool.map((row) => nameFile(row.testFile)))].toSorted()
    return [`  ${tool}: ${ofTool[0]?.reason ?? ''}`, ...files.map((file) => `    ${file}`)]
  })
  return lines.length === 0 ? [] : ['SKIPPED, for want of a tool:', ...lines, '']
}

function parseSkippedTool(line: string): { tool: string; reason: string; testFile: string } {
  const row: unknown = JSON.parse(line)
  if (typeof row !== 'object' || row === null) throw new Error(`Cannot read a skipped tool from "${line}"`)
  return { tool: text(row, 'tool'), reason: text(row, 'reason'), testFile: text(row, 'testFile') }
}

function text(row: object, key: keyof SkippedTool): string {
  const found: unknown = Object.entries(row).find(([name]) => name === key)?.[1]
  if (typeof found !== 'string') throw new Error(`Cannot read a skipped tool: "${key}" is missing`)
  return found
}
