import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deriveAnswers } from '../../src/qemu/derive-answers.ts'
import { ProbeConversation } from '../../src/qemu/probe-conversation.ts'
import { never, QemuKit, testEmulator } from '../support/qemu-kit.ts'
import { requireTool } from '../support/require-tool.ts'

const present = requireTool('qemu-system-x86')

describe.skipIf(!present)('QemuDriver.probe() of a real emulator', () => {
  let kit: QemuKit
  let scripts: string

  beforeAll(async () => {
    kit = await QemuKit.open()
    scripts = await mkdtemp(join(tmpdir(), 'probe-scripts-'))
    await chmod(scripts, 0o755)
  })
  afterAll(async () => {
    await kit[Symbol.asyncDispose]()
    await rm(scripts, { recursive: true, force: true })
  })

  async function script(name: string, text: string): Promise<string> {
    const path = join(scripts, name)
    await writeFile(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 })
    return path
  }
  const leftovers = (): readonly number[] => {
    const mark = join(kit.directory, 'run', 'probe-')
    const { processes } = kit
    return processes
      .list()
      .filter((pid) => processes.commandLine(pid).join(' ').includes(mark) && processes.find(pid) !== null)
  }
  /** A killed process is gone in a moment, not at once. */
  const nothingLeft = async (): Promise<void> => {
    await expect.poll(leftovers, { timeout: 2_000, interval: 20 }).toEqual([])
  }

  test('gives answers whose recording gives the same answers, and leaves nothing behind', async () => {
    const { binary, facts, conversation, ...answers } = await kit.probe()
    expect(binary).toBe(testEmulator)
    expect(answers.arch).toBe('x86_64')
    expect(answers.virtTypes).toContain('qemu')
    expect(answers.virtTypes.includes('kvm')).toBe(facts.kvmUsable)
    expect(facts.executablePath).toBe(facts.resolvedPath)
    const recorded = ProbeConversation.parse(conversation)
    expect(deriveAnswers(recorded)).toEqual(answers)
    expect(recorded.sections).toHaveLength(facts.kvmUsable ? 2 : 1)
    expect(kit.driver.checkIdentity(binary, facts)).toBeNull()
    await nothingLeft()
    expect(await readdir(join(kit.directory, 'run'))).toEqual([])
  })

  test('knows what runs behind a wrapper script, and starts domains through it', async () => {
    const wrapper = await script('qemu-system-x86_64', `exec ${testEmulator} "$@"`)
    const probe = await kit.driver.probe(wrapper, never)
    expect(probe.facts).toMatchObject({ resolvedPath: wrapper, executablePath: (await kit.probe()).facts.resolvedPath })
    const xml = `<domain type='qemu'><name>wrapped</name><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os><devices><emulator>${wrapper}</emulator></devices></domain>`
    const request = await kit.request(xml, [])
    const wrapped = { ...request, caps: { ...request.caps, binary: wrapper }, identity: probe.facts }
    await kit.start(wrapped, { paused: true })
    await kit.driver.destroy(request.uuid, never)
    // A wrapper that stays in front of QEMU hides which program runs.
    const staying = await script('qemu-staying', `${testEmulator} "$@"`)
    const hidden = { ...request, caps: { ...request.caps, binary: staying } }
    await expect(kit.driver.start(hidden, never)).rejects.toMatchObject({ kind: 'operation_aborted' })
    expect(await kit.driver.findUnrecorded(request, never)).toBeNull()
  })

  test.each([
    ['ends at once', 'echo "no such machine" >&2; exit 3', /ended with exit status 3 .*no such machine/],
    ['dies by a signal', 'kill -SEGV $$', /signal SIGSEGV/],
    ['is no emulator', 'while [ ! -S nothing ]; do sleep 0.05; done', /cannot|Cannot/],
  ])('fails with the reason when the binary %s', async (what, text, message) => {
    const binary = await script(`qemu-${what.replaceAll(' ', '-')}`, text)
    const signal = AbortSignal.timeout(500)
    await expect(kit.driver.probe(binary, signal)).rejects.toThrow(message)
    await expect(kit.driver.probe(binary, AbortSignal.timeout(500))).rejects.toThrow(
      `Cannot probe emulator "${binary}"`,
    )
    await nothingLeft()
  })

  test('says that a binary is missing', async () => {
    await expect(kit.driver.probe('/usr/bin/qemu-system-none', never)).rejects.toThrow(
      /^Cannot read emulator "\/usr\/bin\/qemu-system-none"/,
    )
  })

  test('listEmulators() finds the emulator without running it', async () => {
    expect(await kit.driver.listEmulators()).toContain(testEmulator)
  })
})
