import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { deriveAnswers } from '../../src/qemu/derive-answers.ts'
import { ProbeConversation } from '../../src/qemu/probe-conversation.ts'
import type { CapsKit } from '../support/caps-kit.ts'
import { capsKitPerTest } from '../support/caps-kit-per-test.ts'
import { never, QemuKit } from '../support/qemu-kit.ts'
import { requireTool } from '../support/require-tool.ts'

const present = requireTool('qemu-system')
const avr = '/usr/bin/qemu-system-avr'

describe.skipIf(!present)('every emulator of the distribution', () => {
  test('answers, and its recording gives the same document again', async () => {
    await using kit = await QemuKit.open()
    const binaries = await kit.driver.listEmulators()
    expect(binaries.length).toBeGreaterThan(1)
    const probed = await Promise.all(binaries.map(async (binary) => await kit.driver.probe(binary, never)))
    for (const { binary, facts, conversation, ...answers } of probed) {
      const recorded = ProbeConversation.parse(conversation)
      expect(deriveAnswers(recorded), binary).toEqual(answers)
      expect(answers.machines.length, binary).toBeGreaterThan(0)
      expect(answers.virtTypes, binary).toContain('qemu')
      expect(recorded.sections.length, binary).toBe(answers.virtTypes.length)
      expect(facts.resolvedPath, binary).not.toBe('')
    }
  })
})

describe.skipIf(!present)('a look-up of capabilities', () => {
  let kit: CapsKit

  capsKitPerTest((opened) => {
    kit = opened
  })

  test('starts one process, however many ask at once', async () => {
    const binary = kit.script('qemu-once', avr)
    const looks = await Promise.all(Array.from({ length: 100 }, async () => await kit.look(binary)))
    expect(kit.starts('qemu-once')).toBe(1)
    expect(new Set(looks.map(({ facts }) => facts.capsId)).size).toBe(1)
    expect(await kit.facts('EmulatorProbed')).toHaveLength(1)
  })

  test.each([
    ['hang', 1_000, /time|within|aborted/i],
    ['mute', 1_000, /time|within|aborted/i],
    ['exit', 30_000, /exit status 7.*the machine is on fire/],
    ['greedy', 30_000, /exit status 1 .*MemoryError/s],
    ['verbose', 30_000, /ended with .* before its monitor answered; it wrote "la la/],
    ['garbage', 30_000, /is not a QMP message/],
    ['half', 30_000, /in the middle of a message/],
    ['long', 30_000, /a message of more than \d+ bytes/],
    ['error', 30_000, /query-version.*"no"/],
    ['liar', 30_000, /greeted as version 7\.2\.22 and answers that it is version 9\.9\.9/],
  ] as const)('of an emulator that is bad (%s) fails once, in words, and not again', async (mode, probeMs, message) => {
    kit.caps = kit.newCache({ probeMs })
    const binary = kit.fake(mode)
    const [bad, good] = await Promise.allSettled([kit.look(binary), kit.look(avr)])
    expect(good).toMatchObject({ status: 'fulfilled', value: { facts: { arch: 'avr' } } })
    expect(bad).toMatchObject({ status: 'rejected', reason: { message: expect.stringMatching(message) } })
    await expect(kit.look(binary)).rejects.toThrow(`Cannot use emulator "${binary}"`)
    await Promise.allSettled(Array.from({ length: 10 }, async () => await kit.look(binary)))
    expect(kit.starts(`qemu-${mode}`)).toBe(1)
    const failures = await kit.facts('EmulatorProbeFailed')
    expect(failures.map(({ data }) => data)).toMatchObject([{ binary, error: expect.stringMatching(message) }])
    expect(kit.reads.emulator(binary)).toMatchObject({ state: 'unprobeable' })
    // Another emulator in its place is tried again.
    kit.script(`qemu-${mode}`, avr)
    expect((await kit.look(binary)).facts.arch).toBe('avr')
  })

  test('of an emulator that hangs delays that of no other', async () => {
    const place = join(kit.directory, 'pid')
    mkdirSync(place)
    chmodSync(place, 0o777)
    const hanging = kit.script('qemu-hang', `/bin/sh -c 'echo $$ > ${place}/hang; exec sleep 60'`)
    const bad = kit.look(hanging)
    bad.catch(() => undefined)
    for (const good of [avr, kit.script('qemu-good', avr)]) expect((await kit.look(good)).facts.arch).toBe('avr')
    const pid = Number(readFileSync(join(place, 'hang'), 'utf8'))
    // It still hangs: nobody gave it up to get on.
    expect(process.kill(pid, 'SIGKILL')).toBe(true)
    await expect(bad).rejects.toThrow(/ended with signal SIGKILL/)
    expect(await kit.facts('EmulatorProbeFailed')).toHaveLength(1)
  })

  test.each([
    ['a directory', (path: string) => mkdirSync(path), /it is a directory/],
    ['a pipe', (path: string) => execFileSync('mkfifo', [path]), /it is no regular file/],
    ['not executable', (path: string) => writeFileSync(path, '', { mode: 0o600 }), /it is not executable/],
    ['missing', () => undefined, /ENOENT/],
  ])('of what is %s fails once, in words', async (_what, make, message) => {
    const path = join(kit.directory, 'odd')
    make(path)
    await expect(kit.look(path)).rejects.toThrow(message)
    await kit.look(path).catch(() => undefined)
    const failures = await kit.facts('EmulatorProbeFailed')
    expect(failures).toMatchObject([{ data: { binary: path, error: expect.stringMatching(message) } }])
  })

  test('tries an emulator again that was made executable', async () => {
    const binary = kit.script('qemu-locked', avr)
    chmodSync(binary, 0o644)
    await expect(kit.look(binary)).rejects.toThrow(/not executable/)
    chmodSync(binary, 0o755)
    expect((await kit.look(binary)).facts.arch).toBe('avr')
  })
})
