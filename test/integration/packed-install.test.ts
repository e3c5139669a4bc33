import { spawn } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readDaemonFile } from '../../src/cli/daemon-file.ts'
import { type Captured, capture } from '../support/capture.ts'
import { endProcess, hasEnded, processesNaming } from '../support/end-processes.ts'
import { projectFiles, projectRoot } from '../support/project-files.ts'
import { requireTool } from '../support/require-tool.ts'

const directory = mkdtempSync(join(tmpdir(), 'cv-pack-'))
const home = join(directory, 'home')
const installed = join(home, 'node_modules/chronovisor')
const stateDir = join(directory, 'state')
const socketDir = join(directory, 'run')

/**
 * The environment of a person at a shell: without what `npm test` passes on, which would send `npm install` to the
 * project, and without the project's own programs, so that the machine's Node is found.
 */
function shellEnvironment(): Readonly<Record<string, string>> {
  const kept = ['npm_config_cache', 'npm_config_registry', 'npm_config_cafile']
  const entries = Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined || (/^npm_/i.test(name) && !kept.includes(name)) ? [] : [[name, value] as const],
  )
  const path = (process.env['PATH'] ?? '').split(':').filter((one) => !/node_modules|node-gyp-bin/.test(one))
  return {
    ...Object.fromEntries(entries),
    PATH: path.join(':'),
    NO_COLOR: '1',
    CHRONOVISOR_STATE_DIR: stateDir,
    CHRONOVISOR_SOCKET_DIR: socketDir,
  }
}

/** Runs a command in that environment and no other, in the directory of the installation unless another is given. */
async function run(words: readonly string[], cwd = home): Promise<Captured> {
  const variables = Object.entries(shellEnvironment()).map(([name, value]) => `${name}=${value}`)
  return await capture('env', ['-i', ...variables, ...words], { cwd, timeoutMs: 300_000 })
}

/** A copy of what is committed, so that building the package does not touch the checkout. */
function copyProject(): string {
  const copy = join(directory, 'project')
  for (const file of projectFiles()) {
    mkdirSync(dirname(join(copy, file)), { recursive: true })
    cpSync(join(projectRoot, file), join(copy, file))
  }
  symlinkSync(join(projectRoot, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

let output = ''

/** Starts the installed daemon; resolves with what it printed once it serves. */
async function startInstalled(): Promise<string> {
  const child = spawn('npx', ['chronovisor', 'daemon'], { cwd: home, env: shellEnvironment() })
  const hear = (chunk: Buffer): void => void (output += chunk.toString())
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  const deadline = performance.now() + 60_000
  while (!output.includes('history')) {
    if (child.exitCode !== null || performance.now() > deadline)
      throw new Error(`The daemon does not serve:\n${output}`)
    await sleep(20)
  }
  return output
}

/** Ends the daemon itself: npx would not hand the signal on. */
async function stopInstalled(): Promise<void> {
  const pid = readDaemonFile(socketDir)?.pid ?? 0
  process.kill(pid, 'SIGTERM')
  expect(await hasEnded(pid, 30_000)).toBe(true)
}

describe.skipIf(!requireTool('npm-registry'))('the package, installed into an empty directory', () => {
  beforeAll(async () => {
    chmodSync(directory, 0o755)
    mkdirSync(home)
    writeFileSync(join(home, 'package.json'), '{ "private": true }')
    const packed = await run(['npm', 'pack', '--pack-destination', directory], copyProject())
    expect(packed.status, packed.err).toBe(0)
    const archive = readdirSync(directory).find((name) => name.endsWith('.tgz'))
    const added = await run([
      'npm',
      'install',
      '--prefer-offline',
      '--no-audit',
      join(directory, archive ?? 'none.tgz'),
    ])
    expect(added.status, added.err).toBe(0)
  }, 400_000)

  afterAll(async () => {
    for (const pid of processesNaming(directory)) await endProcess(pid)
    rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  })

  test('holds compiled files, the SQL and the launcher, and no TypeScript', () => {
    const files = readdirSync(installed, { recursive: true, encoding: 'utf8' })
    expect(files).toEqual(
      expect.arrayContaining([
        'src/launcher.js',
        'dist/src/main.js',
        'dist/src/eventstore-library.d.ts',
        'dist/src/readmodel-library.d.ts',
        'dist/projections/domain-states.js',
        'migrations/0001-log.sql',
        'fixtures/chronovisor.service',
      ]),
    )
    const sql = (under: string): string[] => readdirSync(under).filter((name) => name.endsWith('.sql'))
    for (const folder of ['migrations', 'projections'])
      expect(sql(join(installed, folder))).toEqual(sql(join(projectRoot, folder)))
    expect(files.filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))).toEqual([])
    expect(files.filter((file) => /^(dist\/)?test\//.test(file))).toEqual([])
  })

  test('npx chronovisor --help answers under the machine’s own Node', async () => {
    const help = await run(['npx', 'chronovisor', '--help'])
    expect(help.out).toMatch(/^Usage: chronovisor /)
    expect(help.out).toContain('Commands:\n  daemon')
    expect(help.status).toBe(0)
  })

  test.each([
    {
      name: 'eventstore-example',
      prints: [
        'refused: Cannot append to stream "account-ada": its last revision is 1, expected was revision 0',
        'account-ada 0 AccountOpened {"owner":"Ada","cents":"10000"}',
        'account-ada 1 MoneyWithdrawn {"cents":"2500"}',
        "told MoneyWithdrawn { cents: '2500' }",
        "told MoneyDeposited { cents: '2500' }",
        'the log ends at 4',
      ],
    },
    {
      name: 'readmodel-example',
      prints: [
        'refused: Error: Cannot book -500 on ada: that leaves -350',
        "now { account: 'ada', cents: 150n }",
        "then { account: 'ada', cents: 100n }",
        'rebuilt { identical: true, switched: true }',
        'replayed true',
      ],
    },
  ])('is a library: $name.ts runs as it stands, on the embedded server', async ({ name, prints }) => {
    cpSync(join(projectRoot, `test/examples/${name}.ts`), join(home, `${name}.ts`))
    const ran = await run([process.execPath, `${name}.ts`, join(directory, name)])
    expect({ ...ran, out: ran.out.trimEnd().split('\n') }).toMatchObject({ status: 0, out: prints })
    expect(processesNaming(join(directory, name))).toEqual([])
  })

  test('declares its types completely: strict programs compile, with no declarations but its own', async () => {
    const options = {
      ...{ target: 'esnext', module: 'nodenext', strict: true, exactOptionalPropertyTypes: true, noEmit: true },
      ...{ skipLibCheck: false, verbatimModuleSyntax: true, noUncheckedIndexedAccess: true, types: [] },
    }
    const compile = async (folder: string, more: object): Promise<Captured> => {
      writeFileSync(join(home, folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: { ...options, ...more } }))
      return await run([join(projectRoot, 'node_modules/.bin/tsc'), '-p', join(home, folder)])
    }
    mkdirSync(join(home, 'strict'))
    writeFileSync(join(home, 'strict/package.json'), '{ "type": "module" }')
    writeFileSync(
      join(home, 'strict/all.ts'),
      `export * from 'chronovisor/eventstore'\nexport * as readmodel from 'chronovisor/readmodel'\n`,
    )
    expect(await compile('strict', {})).toMatchObject({ out: '', status: 0 })
    mkdirSync(join(home, 'examples'))
    writeFileSync(join(home, 'examples/package.json'), '{ "type": "module" }')
    cpSync(join(projectRoot, 'test/examples'), join(home, 'examples'), { recursive: true })
    const typeRoots = [join(projectRoot, 'node_modules/@types')]
    expect(await compile('examples', { types: ['node'], typeRoots })).toMatchObject({ out: '', status: 0 })
    const { err, status } = await run([process.execPath, '-e', "require('chronovisor/dist/src/main.js')"])
    expect([status, err]).toEqual([1, expect.stringContaining('ERR_PACKAGE_PATH_NOT_EXPORTED')])
  })

  test('npx chronovisor daemon serves virsh as it printed, and the CLI finds it; SIGTERM ends all of it', async () => {
    const printed = await startInstalled()
    const command = /virsh -c '\S+' list --all/.exec(printed)?.[0] ?? ''
    expect(command).toContain(`socket=${socketDir}/libvirt-sock`)
    if (requireTool('libvirt-clients')) {
      const listed = await run(['sh', '-c', command])
      expect([listed.out.split('\n')[0]?.trim().split(/\s+/), listed.status]).toEqual([['Id', 'Name', 'State'], 0])
    }
    const log = await run(['npx', 'chronovisor', 'log'])
    expect(log.out).toContain('DaemonStarted')
    expect(log.status).toBe(0)
    const replayed = await run(['npx', 'chronovisor', 'replay', '--check'])
    expect(replayed.out).toMatch(/^identical/m)
    expect(replayed.status).toBe(0)
    await stopInstalled()
    expect(processesNaming(stateDir)).toEqual([])
    expect(existsSync(join(socketDir, 'libvirt-sock'))).toBe(false)
  })

  test('keeps its log from one start to the next', async () => {
    output = ''
    await startInstalled()
    const log = await run(['npx', 'chronovisor', 'log', '--json'])
    const types = [...log.out.matchAll(/"type":\s*"(Daemon\w+)"/g)].map((match) => match[1])
    expect(types).toEqual(['DaemonStarted', 'DaemonStopped', 'DaemonStarted'])
    await stopInstalled()
    expect(readFileSync(join(stateDir, 'host-id'), 'utf8')).toMatch(/^[0-9a-f-]{36}\n$/)
  })
})
