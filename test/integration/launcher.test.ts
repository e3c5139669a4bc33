import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const projectRoot = fileURLToPath(new URL('../..', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'cv-launcher-'))
/** The machine's own Node, whatever its version; the launcher has to cope with 18 and newer. */
const machineNode = '/usr/bin/node'
const nodes = [process.execPath, ...(existsSync(machineNode) ? [machineNode] : [])]
const env = { ...process.env, XDG_CACHE_HOME: directory }

const program = `
process.on('SIGTERM', () => { console.log('ended'); process.exit(7) })
console.log(JSON.stringify({ modern: Number(process.versions.node.split('.')[0]) >= 24, args: process.argv.slice(2), kind: KIND }))
if (process.argv[2] === 'wait') setInterval(() => {}, 1000)
`

/** A clone has the TypeScript entry, a package the compiled one; both have the launcher and the dependencies. */
function makePackage(name: string, entry: string): string {
  const root = join(directory, name)
  mkdirSync(join(root, 'src'), { recursive: true })
  mkdirSync(join(root, entry, '..'), { recursive: true })
  cpSync(join(projectRoot, 'src/launcher.js'), join(root, 'src/launcher.js'))
  symlinkSync(join(projectRoot, 'node_modules'), join(root, 'node_modules'))
  writeFileSync(join(root, 'package.json'), '{"type":"module"}')
  writeFileSync(join(root, entry), program.replace('KIND', `'${name}'${entry.endsWith('.ts') ? ' as string' : ''}`))
  return join(root, 'src/launcher.js')
}

let launchers: Readonly<Record<string, string>> = {}
beforeAll(() => {
  const clone = makePackage('clone', 'src/cli/chronovisor.ts')
  launchers = { clone, package: makePackage('package', 'dist/src/cli/chronovisor.js') }
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe('src/launcher.js', () => {
  for (const node of nodes) {
    test.each(['clone', 'package'])(`runs a %s on Node 24 or newer when started by ${node}`, (kind) => {
      const { stdout, status } = spawnSync(node, [launchers[kind] ?? '', 'list', '--all'], { encoding: 'utf8', env })
      expect(JSON.parse(stdout)).toEqual({ modern: true, args: ['list', '--all'], kind })
      expect(status).toBe(0)
    })

    test(`hands SIGTERM on and ends with the daemon's code when started by ${node}`, async () => {
      const child = spawn(node, [launchers['clone'] ?? '', 'wait'], { stdio: ['ignore', 'pipe', 'inherit'], env })
      await once(child.stdout, 'data')
      child.kill('SIGTERM')
      expect(await once(child, 'exit')).toEqual([7, null])
    })
  }

  test('says what is missing where the package is not whole', () => {
    const launcher = makePackage('broken', 'elsewhere/chronovisor.js')
    const { stderr, status } = spawnSync(process.execPath, [launcher], { encoding: 'utf8', env })
    expect(stderr).toMatch(/Cannot start chronovisor: neither .*src\/cli\/chronovisor\.ts nor .*exists/)
    expect(status).toBe(1)
  })
})

describe('fixtures/chronovisor.service', () => {
  const unit = readFileSync(join(projectRoot, 'fixtures/chronovisor.service'), 'utf8')
  const values = (key: string): string[] =>
    [...unit.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map((match) => match[1] ?? '')

  test('keeps domains alive, restarts at once and waits for READY=1 of whichever process runs the daemon', () => {
    expect(values('Type')).toEqual(['notify'])
    expect(values('NotifyAccess')).toEqual(['all'])
    expect(values('KillMode')).toEqual(['process'])
    expect(values('Restart')).toEqual(['always'])
    expect(values('RestartSec')).toEqual(['100ms'])
    expect(values('StartLimitIntervalSec')).toEqual(['0'])
    expect(values('ExecStart')[0]).toMatch(/chronovisor daemon$/)
  })

  test('has no hardening that would keep QEMU from KVM, its disks, its user or its own sandbox', () => {
    const harmful = ['PrivateDevices', 'DeviceAllow', 'DevicePolicy', 'ProtectClock', 'NoNewPrivileges', 'PrivateTmp']
    const others = [
      'MemoryDenyWriteExecute',
      'RestrictNamespaces',
      'SystemCallFilter',
      'RestrictSUIDSGID',
      'ProtectHome',
      'User',
    ]
    for (const key of [...harmful, ...others]) expect(values(key), key).toEqual([])
    const capabilities = values('CapabilityBoundingSet')[0]?.split(' ')
    // Without CAP_SYS_ADMIN systemd would switch NoNewPrivileges on by itself.
    expect(capabilities).toEqual(
      expect.arrayContaining(['CAP_SETUID', 'CAP_SETGID', 'CAP_SYS_ADMIN', 'CAP_CHOWN', 'CAP_KILL']),
    )
  })
})
