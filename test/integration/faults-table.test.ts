import { describe, expect, test } from 'vitest'
import { commandService } from '../../src/commands/command-service.ts'
import { crashPoints } from '../../src/commands/crash-points.ts'
import { FakeMachine } from '../support/fake-host.ts'
import { guards } from '../support/guards.ts'
import { projectFiles, readProjectFile } from '../support/project-files.ts'
import { faults } from './faults.ts'

describe('the table of faults', () => {
  test('has a row for every command that can be asked for', () => {
    // Recording that a call was refused before any command began is no command.
    const commands = Object.keys(commandService(new FakeMachine().boot().host)).filter((name) => name !== 'noteRefusal')
    const covered = new Set<string>(faults.map(([command]) => command))
    expect(commands.length).toBeGreaterThan(10)
    expect(commands.filter((command) => !covered.has(command))).toEqual([])
  })

  test('has a row for every crash point, with the daemon dying there', () => {
    const covered = new Set<string>(
      faults.filter(([, , , dies]) => dies.startsWith('daemon')).map(([, , point]) => point),
    )
    expect(crashPoints.filter((point) => !covered.has(point))).toEqual([])
  })

  test('has each fault once', () => {
    const keys = faults.map(([command, scene, point, dies]) => [command, scene, point, dies].join(' '))
    expect(keys.filter((key, at) => keys.indexOf(key) !== at)).toEqual([])
  })

  test('names crash points that the commands pass', () => {
    const sources = projectFiles().filter(
      (file) => /^src\/commands\/.*\.ts$/.test(file) && !file.endsWith('crash-points.ts'),
    )
    const text = sources.map(readProjectFile).join('\n')
    expect(crashPoints.filter((point) => !text.includes(`'${point}'`))).toEqual([])
  })
})

describe('the table of guards', () => {
  test('has no guard that no test takes away', () => {
    const tests = projectFiles().filter((file) => /^test\/integration\/.*\.test\.ts$/.test(file))
    const text = tests.map(readProjectFile).join('\n')
    expect(guards.map((guard) => guard.name).filter((name) => !text.includes(`'${name}'`))).toEqual([])
  })
})
