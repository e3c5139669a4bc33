import { chmodSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findCommand } from '../../src/cli/is-package-present.ts'
import { capture, type Captured } from '../support/capture.ts'
import { processesNaming } from '../support/end-processes.ts'
import { requireTool } from '../support/require-tool.ts'

const launcher = fileURLToPath(new URL('../../src/launcher.js', import.meta.url))
const limitMs = 150_000

/** Plays the tour with its temporary files below a directory of the test's own; says what it left there. */
async function playTour(path: string): Promise<Captured & { readonly left: readonly string[] }> {
  const directory = mkdtempSync(join(tmpdir(), 't-'))
  try {
    chmodSync(directory, 0o755)
    const env = { TMPDIR: directory, PATH: path }
    const ended = await capture(process.execPath, [launcher, 'tour'], { env, timeoutMs: limitMs })
    const processes = processesNaming(directory).map((pid) => `process ${pid}`)
    return { ...ended, left: [...readdirSync(directory), ...processes] }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** What every tour must have shown, whatever it was played on. */
function expectWholeTour({ status, out, err, left }: Awaited<ReturnType<typeof playTour>>): void {
  expect([status, err]).toEqual([0, ''])
  expect(out).toMatch(/\$ kill -9 \d+/)
  expect(out).toMatch(/BlockJobPivoted .*vda/)
  expect(out).toMatch(/At the beginning stands .*CHG-1234/)
  expect(out).toMatch(/identical \(tables and memory, position 0 to \d+\)/)
  expect(out).toContain('That was the tour')
  expect(left).toEqual([])
}

const canRunQemu = (['qemu-system-x86', 'qemu-utils', 'libvirt-clients'] as const).every((tool) => requireTool(tool))

test.runIf(canRunQemu)(
  'the tour plays on real QEMU with virsh, survives its kill -9, and cleans up',
  async () => {
    const played = await playTour(process.env['PATH'] ?? '')
    expectWholeTour(played)
    expect(played.out).toMatch(/QEMU, process \d+, goes on/)
    expect(played.out).toContain('read 25165824/25165824 bytes')
  },
  limitMs,
)

describe('without QEMU and virsh', () => {
  let bare: string
  beforeAll(() => {
    // What the embedded PostgreSQL needs of the system, and nothing of QEMU or libvirt.
    bare = mkdtempSync(join(tmpdir(), 'bin-'))
    for (const name of ['sh', 'useradd', 'id', 'test', 'true']) {
      const found = findCommand(name, process.env['PATH'] ?? '')
      if (found !== null) symlinkSync(found, join(bare, name))
    }
  })
  afterAll(() => rmSync(bare, { recursive: true, force: true }))

  test(
    'the tour plays on the test driver with the built-in client',
    async () => {
      const played = await playTour(bare)
      expectWholeTour(played)
      expect(played.out).toContain('$ (without virsh) virsh')
      expect(played.out).toContain('URI=test+unix:///default')
    },
    limitMs,
  )
})
