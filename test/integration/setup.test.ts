import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { installPackages } from '../../src/cli/install-packages.ts'
import { findCommand, findPostgresql, isPackagePresent } from '../../src/cli/is-package-present.ts'
import { openKvmToGroup, readKvmFacts } from '../../src/cli/kvm-device.ts'
import { setupOptions } from '../../src/cli/setup.ts'
import { setupPackages } from '../../src/cli/setup-packages.ts'
import { planSetup, type SetupFacts, wantedPackages } from '../../src/cli/setup-plan.ts'
import { requireTool } from '../support/require-tool.ts'

const script = fileURLToPath(new URL('../../src/cli/setup.ts', import.meta.url))
const runtimeNames = ['qemu-system-x86', 'qemu-utils', 'libvirt-clients', 'python3-libvirt'] as const
const hasRuntime = runtimeNames.map((name) => requireTool(name)).every((found) => found)
const openKvm = { kind: 'present', grouped: true, usable: true } as const
const facts: SetupFacts = { missing: [], isRoot: true, hasApt: true, kvm: openKvm, userName: 'ann' }
let directory = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cv-setup-'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(directory, { recursive: true, force: true })
})

function program(name: string, body: string): void {
  mkdirSync(join(directory, 'bin'), { recursive: true })
  writeFileSync(join(directory, 'bin', name), `#!/bin/sh\n${body}\n`)
  chmodSync(join(directory, 'bin', name), 0o755)
}

describe('setupPackages', () => {
  test('has one row per package, each with what it is needed for', () => {
    const names = setupPackages.map((row) => row.package)
    expect(new Set(names).size).toBe(names.length)
    expect(wantedPackages(false).map((row) => row.package)).toEqual(runtimeNames)
    expect(wantedPackages(true)).toHaveLength(setupPackages.length)
  })
})

describe('planSetup()', () => {
  const missing = wantedPackages(false).slice(0, 2)

  test('lets root on Debian install, and leaves nothing to an operator', () => {
    const plan = planSetup({ ...facts, missing, kvm: { kind: 'present', grouped: false, usable: true } })
    expect(plan).toEqual({ install: missing, openKvm: true, operatorLines: [], notes: [] })
  })

  test('prints the lines for the operator where the user is not root', () => {
    const kvm = { kind: 'present', grouped: false, usable: false } as const
    const plan = planSetup({ ...facts, missing, isRoot: false, kvm })
    expect(plan.install).toEqual([])
    expect(plan.openKvm).toBe(false)
    expect(plan.operatorLines).toEqual([
      'sudo apt-get update && sudo apt-get install --no-install-recommends -y qemu-system-x86 qemu-utils',
      'sudo groupadd --system --force kvm && sudo chown root:kvm /dev/kvm && sudo chmod 0660 /dev/kvm',
      'sudo usermod --append --groups kvm ann   # then log in again',
    ])
  })

  test('names the packages on another distribution and installs nothing', () => {
    const plan = planSetup({ ...facts, missing, hasApt: false })
    expect(plan.install).toEqual([])
    expect(plan.operatorLines).toEqual([])
    expect(plan.notes.join()).toContain('qemu-system-x86 qemu-utils')
  })

  test('says that without /dev/kvm the CPU is emulated', () => {
    expect(planSetup({ ...facts, kvm: { kind: 'absent' } }).notes.join()).toContain('/dev/kvm')
    expect(planSetup(facts)).toEqual({ install: [], openKvm: false, operatorLines: [], notes: [] })
  })
})

describe('setupOptions()', () => {
  test.each([
    { args: [], ci: undefined, wanted: { dev: false, yes: false } },
    { args: ['--dev'], ci: undefined, wanted: { dev: true, yes: false } },
    { args: ['--yes'], ci: '', wanted: { dev: false, yes: true } },
    { args: [], ci: 'true', wanted: { dev: true, yes: true } },
    { args: [], ci: 'false', wanted: { dev: false, yes: false } },
  ])('reads $args with CI=$ci', ({ args, ci, wanted }) => {
    expect(setupOptions(args, ci)).toEqual(wanted)
  })

  test('refuses what it does not know', () => {
    expect(() => setupOptions(['--all'], undefined)).toThrow(/--all/)
  })
})

describe('isPackagePresent()', () => {
  test('finds a command in PATH and a server by its version', () => {
    program('some-tool', 'exit 0')
    expect(findCommand('some-tool', `/nonexistent:${directory}/bin`)).toBe(join(directory, 'bin', 'some-tool'))
    expect(isPackagePresent({ kind: 'command', name: 'some-tool' }, '/nonexistent')).toBe(false)
    for (const major of ['14', '9.6', '15', '17']) mkdirSync(join(directory, major, 'bin'), { recursive: true })
    writeFileSync(join(directory, '14/bin/postgres'), '')
    expect(findPostgresql(15, directory)).toBeNull()
    writeFileSync(join(directory, '15/bin/postgres'), '')
    expect(findPostgresql(15, directory)).toBe(join(directory, '15/bin'))
    expect(isPackagePresent({ kind: 'imports', command: ['/bin/sh', '-c', 'exit 1'] })).toBe(false)
  })
})

describe('installPackages()', () => {
  const rows = setupPackages.filter((row) => ['strace', 'xvfb', 'postgresql-15'].includes(row.package))

  test('installs what the release has, without questions and without starting services', () => {
    const calls = join(directory, 'calls')
    const policy = join(directory, 'policy-rc.d')
    program('apt-get', `echo "$DEBIAN_FRONTEND $* $(test -x ${policy} && ${policy}; echo $?)" >> ${calls}`)
    program('apt-cache', `case $2 in strace|postgresql) echo "  Candidate: 1.0";; *) echo "  Candidate: (none)";; esac`)
    vi.stubEnv('PATH', `${directory}/bin:/usr/bin:/bin`)
    const unavailable = installPackages(rows, policy)
    expect(unavailable.map((row) => row.package)).toEqual(['xvfb'])
    const [update = '', install = ''] = readFileSync(calls, 'utf8').split('\n')
    expect(update).toMatch(/^noninteractive .* update/)
    expect(install).toMatch(/^noninteractive .* install --quiet --yes --no-install-recommends postgresql strace 101$/)
    expect(existsSync(policy)).toBe(false)
  })

  test('says which command failed, and takes its policy back', () => {
    program('apt-get', 'test "$5" = update || exit 100')
    program('apt-cache', 'echo "  Candidate: 1.0"')
    vi.stubEnv('PATH', `${directory}/bin:/usr/bin:/bin`)
    const policy = join(directory, 'policy-rc.d')
    expect(() => installPackages(rows, policy)).toThrow(/"apt-get .*install.*" failed: it ended with 100/)
    expect(existsSync(policy)).toBe(false)
  })
})

describe('the KVM device', () => {
  test.runIf(userInfo().uid === 0)('openKvmToGroup() gives it to root:kvm, mode 0660', () => {
    const device = join(directory, 'kvm')
    expect(readKvmFacts(device)).toEqual({ kind: 'absent' })
    writeFileSync(device, '', { mode: 0o600 })
    expect(readKvmFacts(device)).toMatchObject({ kind: 'present', grouped: false })
    openKvmToGroup(device)
    expect(readKvmFacts(device)).toMatchObject({ kind: 'present', grouped: true, usable: true })
    expect(statSync(device).mode & 0o777).toBe(0o660)
  })
})

describe('npm run setup', () => {
  test.skipIf(!hasRuntime)('has nothing to do the second time, and says so at once', () => {
    const env = { ...process.env, CI: '' }
    const startedMs = performance.now()
    const { status, stdout } = spawnSync(process.execPath, [script], { encoding: 'utf8', env })
    expect(stdout).toContain('All 4 packages are installed.')
    expect(status).toBe(0)
    expect(performance.now() - startedMs, 'milliseconds').toBeLessThan(3_000)
  })

  test('prints its usage, and refuses unknown options with 2', () => {
    expect(spawnSync(process.execPath, [script, '--help'], { encoding: 'utf8' }).stdout).toContain('--dev')
    const { status, stderr } = spawnSync(process.execPath, [script, '--nonsense'], { encoding: 'utf8' })
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining('--nonsense') })
  })
})
