import { describe, expect, test } from 'vitest'
import { readProjectFile } from '../support/project-files.ts'

/** What the README promises, clause by clause, each with a test that fails where it is not kept: its file and words of its name. */
const promise = [
  {
    clause: 'A command answered "ok" is on disk and will be in every later answer;',
    file: 'test/integration/eventstore-outage.test.ts',
    name: 'loses nothing acknowledged when the server is killed under load',
  },
  {
    clause: 'a command answered "error" changed nothing, or says exactly what it changed;',
    file: 'test/integration/bad-input.test.ts',
    name: 'a duplicate name or UUID is refused',
  },
  {
    clause: 'a command cut off is one or the other and the log says which;',
    file: 'test/unit/commands-crash-points.test.ts',
    name: 'settles everything after the daemon died at',
  },
  {
    clause: 'a state shown for time T never changes afterwards;',
    file: 'test/integration/readmodel-live.test.ts',
    name: 'never stamps a commit at or before a time that was answered for',
  },
  {
    clause:
      "running domains are not touched by the daemon's death (a disk in the last moment of a pivot waits until the daemon is back);",
    file: 'test/integration/faults.test.ts',
    name: 'test.each(faults.map(',
  },
  {
    clause: 'if the log cannot be written, nothing is changed.',
    file: 'test/unit/commands-log-away.test.ts',
    name: 'changes nothing when already the intent cannot be recorded',
  },
] as const

describe('The promise', () => {
  test('stands in the README word for word', () => {
    const readme = readProjectFile('README.md').replaceAll(/\s+/g, ' ')
    expect(readme).toContain(promise.map(({ clause }) => clause).join(' '))
  })

  test.each(promise)('has a test of "$clause"', ({ file, name }) => {
    expect(readProjectFile(file)).toContain(name)
  })
})
