import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import * as v from 'valibot'
import { capture, type Captured } from '../support/capture.ts'
import type { CapsKit } from '../support/caps-kit.ts'
import { capsKitPerTest } from '../support/caps-kit-per-test.ts'
import { projectRoot } from '../support/project-files.ts'
import { requireTool } from '../support/require-tool.ts'
import { startDaemon } from '../support/running-daemon.ts'

const canProbe = requireTool('qemu-system')
const canTrace = requireTool('strace')
const canAsk = requireTool('libvirt-clients')

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'traced-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

describe.skipIf(!canProbe)('the next life of a daemon', () => {
  let kit: CapsKit

  capsKitPerTest((opened) => {
    kit = opened
  })

  test('runs no emulator and decodes the document of the one that a task needs, once', async () => {
    const [wanted, other] = [
      kit.script('qemu-wanted', '/usr/bin/qemu-system-avr'),
      kit.script('qemu-other', '/usr/bin/qemu-system-or1k'),
    ]
    const before = await kit.look(wanted)
    await kit.look(other)
    kit.restart()
    const after = await kit.look(wanted)
    await kit.look(wanted)
    expect(after.facts).toEqual(before.facts)
    expect([kit.starts('qemu-wanted'), kit.starts('qemu-other')]).toEqual([1, 1])
    expect(kit.textsRead).toEqual([before.documentSha256])
    expect(await kit.facts('EmulatorReprobed')).toEqual([])
  })
})

describe.skipIf(!canTrace)('as system calls tell,', () => {
  test.skipIf(!canProbe || !canAsk)(
    'a warm start and what is asked of it run no emulator',
    { timeout: 120_000 },
    async () => {
      const trace = join(directory, 'daemon')
      // The tracer stands beside the daemon, which keeps its own process; the second start writes over what the first did.
      const through = ['strace', '-D', '-f', '-qq', '--seccomp-bpf', '-e', 'trace=execve', '-o', trace]
      await using daemon = await startDaemon({ driver: 'qemu', through })
      const ask = async (...words: readonly string[]): Promise<void> => {
        const { status, err } = await capture('virsh', ['-q', '-c', daemon.uri(), ...words])
        expect(err).toBe('')
        expect(status).toBe(0)
      }
      const emulators = ['/usr/bin/qemu-system-x86_64', '/usr/bin/qemu-system-avr']
      for (const binary of emulators) await ask('domcapabilities', '--emulatorbin', binary)
      await daemon.stop()
      for (const binary of emulators) expect(readFileSync(trace, 'utf8')).toContain(`execve("${binary}"`)
      await daemon.start()
      await ask('list', '--all')
      for (const binary of emulators) await ask('domcapabilities', '--emulatorbin', binary)
      await ask('version')
      await daemon.stop()
      expect(readFileSync(trace, 'utf8')).not.toContain('qemu-system-')
    },
  )

  test('caps host --part cpu reads no NUMA node and no cache, and runs nothing', async () => {
    const { paths, out } = await traced('cpu')
    expect(v.parse(v.object({ cpu: v.object({ arch: v.string() }) }), JSON.parse(out)).cpu.arch).not.toBe('')
    expect(paths.filter((path) => path === '/proc/cpuinfo')).not.toEqual([])
    expect(
      paths.filter((path) => /system\/node|\/cache\b|\/topology\b|resctrl|iommu|hugepages|qemu/.test(path)),
    ).toEqual([])
  })

  test.each([
    ['numa', /system\/node/, /\/cache\b|resctrl|iommu|\/dev\/kvm/],
    ['cache', /cpu\d+\/cache/, /system\/node|resctrl|iommu|\/dev\/kvm|cpuinfo/],
    ['iommu', /iommu_groups/, /system\/node|\/cache\b|\/topology\b|resctrl|\/dev\/kvm|cpuinfo/],
    ['security', /security\/lsm/, /system\/node|\/cache\b|\/topology\b|resctrl|iommu|\/dev\/kvm|cpuinfo/],
  ])('caps host --part %s reads its own files and none of other parts', async (part, own, others) => {
    const { paths } = await traced(part)
    expect(paths.filter((path) => own.test(path))).not.toEqual([])
    expect(paths.filter((path) => others.test(path))).toEqual([])
  })
})

/** Paths of the kernel's files, devices and programs that `caps host` opened, looked at or ran, with what it printed. */
async function traced(part: string): Promise<{ readonly paths: readonly string[]; readonly out: string }> {
  const file = join(directory, part)
  const calls = 'openat,open,readlink,readlinkat,stat,newfstatat,statx,access,faccessat,faccessat2,execve'
  const command = [process.execPath, join(projectRoot, 'src/launcher.js'), 'caps', 'host', '--part', part, '--json']
  const ended: Captured = await capture('strace', ['-f', '-qq', '-e', `trace=${calls}`, '-o', file, ...command])
  expect(ended).toMatchObject({ status: 0, err: '' })
  const paths = [...readFileSync(file, 'utf8').matchAll(/"(\/(?:proc|sys|dev|usr\/bin)\/[^"]*)"/g)].map(
    ([, path]) => path ?? '',
  )
  return { paths, out: ended.out }
}
