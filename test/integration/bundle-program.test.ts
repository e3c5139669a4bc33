import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { bundleProgram } from '../../src/cli/bundle-program.ts'
import { projectRoot } from '../support/project-files.ts'

let root = ''

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'cv-bundle-'))
  mkdirSync(join(root, 'src/cli'), { recursive: true })
  cpSync(join(projectRoot, 'src/launcher.js'), join(root, 'src/launcher.js'))
  symlinkSync(join(projectRoot, 'node_modules'), join(root, 'node_modules'))
  writeFileSync(join(root, 'package.json'), '{"type":"module"}')
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const dependency = 'src/cli/greeting.ts'

/** A program of two files whose one word comes from the second. */
async function makeProgram(): Promise<void> {
  const entry = `import { greeting } from './greeting.ts'
const file: string = import.meta.url
console.log(JSON.stringify({ bundled: file.includes('/dist/program/'), greeting }))
`
  writeFileSync(join(root, 'src/cli/chronovisor.ts'), entry)
  writeFileSync(join(root, dependency), `export const greeting: string = 'hello'\n`)
  await sleep(50)
}

function launch(...args: readonly string[]): { readonly out: string; readonly status: number | null } {
  const env = { ...process.env, NO_COLOR: '1', XDG_CACHE_HOME: join(root, 'cache') }
  const { stdout, stderr, status } = spawnSync(process.execPath, [join(root, 'src/launcher.js'), ...args], {
    encoding: 'utf8',
    env,
  })
  return { out: stdout + stderr, status }
}

function said(): unknown {
  return JSON.parse(launch().out)
}

describe('bundleProgram()', () => {
  test('makes what the launcher then runs, and makes it once', async () => {
    await makeProgram()
    expect(said()).toEqual({ bundled: false, greeting: 'hello' })
    expect(await bundleProgram(root)).toBe('The program is bundled: 2 files in 1.')
    expect(said()).toEqual({ bundled: true, greeting: 'hello' })
    expect(await bundleProgram(root)).toBe('The program is bundled already.')
  })

  test('is not run once a file was changed, even with its size and date put back, until it is made anew', async () => {
    await makeProgram()
    await bundleProgram(root)
    const { atime, mtime } = statSync(join(root, dependency))
    writeFileSync(join(root, dependency), `export const greeting: string = 'howdy'\n`)
    utimesSync(join(root, dependency), atime, mtime)
    expect(said()).toEqual({ bundled: false, greeting: 'howdy' })
    await sleep(50)
    await bundleProgram(root)
    expect(said()).toEqual({ bundled: true, greeting: 'howdy' })
    expect(readdirSync(join(root, 'dist/program')), 'the one before stays for who runs from it').toHaveLength(3)
  })

  test('is not run once a file was replaced by an older one, or is gone', async () => {
    await makeProgram()
    writeFileSync(join(root, 'older.ts'), `export const greeting: string = 'older'\n`)
    await sleep(50)
    await bundleProgram(root)
    renameSync(join(root, 'older.ts'), join(root, dependency))
    expect(said()).toEqual({ bundled: false, greeting: 'older' })
    rmSync(join(root, dependency))
    expect(launch()).toMatchObject({ status: 1, out: expect.stringContaining('greeting.ts') })
  })

  test('is not run where the manifest is torn or names nothing, and makes it whole again', async () => {
    await makeProgram()
    await bundleProgram(root)
    const manifest = join(root, 'dist/program/manifest.json')
    const whole = readFileSync(manifest, 'utf8')
    const nowhere = JSON.stringify({ ...JSON.parse(whole), program: 'nowhere/chronovisor.js' })
    for (const broken of [whole.slice(0, 40), 'null', '{}', nowhere]) {
      writeFileSync(manifest, broken)
      expect(said(), broken).toEqual({ bundled: false, greeting: 'hello' })
    }
    rmSync(join(root, 'dist'), { recursive: true })
    await bundleProgram(root)
    expect(said()).toEqual({ bundled: true, greeting: 'hello' })
  })

  test('has nothing to make of an installed package, whose bundle runs as it was packed', async () => {
    await makeProgram()
    await bundleProgram(root)
    rmSync(join(root, 'src/cli'), { recursive: true })
    expect(await bundleProgram(root)).toBe('The program is as it was packed.')
    expect(said()).toEqual({ bundled: true, greeting: 'hello' })
  })
})

describe('the bundle of this program', () => {
  test('answers as its source does, and finds the files of the package', async () => {
    for (const folder of ['src', 'projections', 'migrations', 'package.json'])
      cpSync(join(projectRoot, folder), join(root, folder), { recursive: true })
    const places = ['--state-dir', join(root, 'state'), '--socket-dir', join(root, 'run')]
    const commands = [['--help'], ['caps', 'rebuild', '--help'], ['list'], ['log', ...places], ['nonsense']]
    const fromSource = commands.map((words) => launch(...words))
    await sleep(50)
    expect(await bundleProgram(root)).toMatch(/^The program is bundled: \d{3} files in \d+\.$/)
    const [directory = ''] = readdirSync(join(root, 'dist/program')).filter((name) => name !== 'manifest.json')
    expect(existsSync(join(root, 'dist/program', directory, 'chronovisor.js'))).toBe(true)
    expect(commands.map((words) => launch(...words))).toEqual(fromSource)
    appendFileSync(join(root, 'dist/program', directory, 'chronovisor.js'), `\nconsole.log('bundled')\n`)
    expect(launch('--help').out).toMatch(/\nbundled\n$/)
  })
})
