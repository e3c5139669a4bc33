import { describe, expect, test } from 'vitest'
import { deriveAnswers } from '../../src/qemu/derive-answers.ts'
import { flagRules } from '../../src/qemu/flag-rules.ts'
import { interviewEmulator, interviewTranslation } from '../../src/qemu/interview-emulator.ts'
import { ProbeConversation } from '../../src/qemu/probe-conversation.ts'
import { parseQmpMessage } from '../../src/qemu/qmp-message.ts'
import { indentJson, ProbeRecording } from '../../src/qemu/probe-recording.ts'
import { answerFrom, questionsOf, recordedEmulators, recordingOf } from '../support/recorded-emulators.ts'

describe('interviewEmulator()', () => {
  test.each(recordedEmulators)('asks %s again what was recorded, in the recorded order', async (name) => {
    const conversation = ProbeConversation.parse(recordingOf(name))
    const asked: string[] = []
    const first = await interviewEmulator(answerFrom(conversation, { section: 0, asked }))
    expect(asked).toEqual(questionsOf(conversation, 0))
    expect(new Set(asked).size).toBe(asked.length)
    expect(first.needsTranslation).toBe(name === 'x86_64-kvm')
    expect(conversation.sections).toHaveLength(first.needsTranslation ? 2 : 1)
    if (!first.needsTranslation) return
    for (const schema of [first.schema, null]) {
      const translation: string[] = []
      const ask = answerFrom(conversation, { section: 1, asked: translation })
      await interviewTranslation(ask, { arch: first.arch, schema })
      expect(translation).toEqual(questionsOf(conversation, 1))
    }
  })

  test('tells the architecture before the schema is there', async () => {
    const conversation = ProbeConversation.parse(recordingOf('x86_64-kvm'))
    const answers = answerFrom(conversation, { section: 0, asked: [] })
    const { promise: told, resolve: onTarget } = Promise.withResolvers<string>()
    const known: string[] = []
    const late = async (command: string, args?: object): Promise<unknown> => {
      if (command === 'query-qmp-schema') known.push(await told)
      return await answers(command, args)
    }
    await interviewEmulator(late, { onTarget, onKnown: ({ version }) => known.push(version) })
    expect(known).toEqual(['x86_64', '7.2.22'])
  })

  test('asks for properties only of types that exist', async () => {
    const conversation = ProbeConversation.parse(recordingOf('avr'))
    const questions = questionsOf(conversation, 0).join('\n')
    expect(questions).not.toContain('virtio-blk-pci')
    expect(questions).toContain('qom-list-properties {"typename":"none-machine"}')
  })

  test('does not go on where an answer that everything else needs is missing', async () => {
    const conversation = ProbeConversation.parse(recordingOf('avr'))
    const answers = answerFrom(conversation, { section: 0, asked: [] })
    const lying = interviewEmulator(async (command, args) =>
      command === 'qom-list-types' ? 'none' : await answers(command, args),
    )
    await expect(lying).rejects.toThrow(/answer to "qom-list-types"/)
  })
})

describe('deriveAnswers()', () => {
  test('tells of an emulator of Debian 12 with KVM what the daemon works with', () => {
    const answers = deriveAnswers(ProbeConversation.parse(recordingOf('x86_64-kvm')))
    expect(answers).toMatchObject({
      arch: 'x86_64',
      version: 7_002_022,
      package: 'Debian 1:7.2+dfsg-7+deb12u18+b3',
      virtTypes: ['kvm', 'qemu'],
    })
    expect(answers.machines[0]).toEqual({ name: 'pc-i440fx-7.2', alias: 'pc', maxCpus: 255, isDefault: true })
    expect(answers.machines.filter(({ isDefault }) => isDefault)).toHaveLength(1)
    expect(answers.machines).toHaveLength(58)
    expect(answers.machines.map(({ name }) => name)).toContain('pc-q35-7.2')
    expect(answers.machines.map(({ name }) => name)).not.toContain('none')
    expect(answers.cpuModels).toHaveLength(132)
    const usable = answers.cpuModels.filter((model) => model.usable).map(({ name }) => name)
    expect(usable).toContain('host')
    expect(usable).not.toContain('SapphireRapids')
    expect(answers.flags).toEqual([...answers.flags].toSorted())
    for (const flag of [
      'blockdev',
      'block-stream.auto-dismiss',
      'block-commit.auto-dismiss',
      'job-finalize',
      'seccomp-sandbox',
      'virtio-blk-pci',
      'VGA.vgamem_mb',
      'virtio-balloon.free-page-reporting',
    ]) {
      expect(answers.flags).toContain(flag)
    }
    for (const flag of ['hvf', 'igb']) expect(answers.flags).not.toContain(flag)
    const { capabilities } = answers
    expect(capabilities.accelerators.map(({ type, hostCpu }) => [type, hostCpu?.migratability])).toEqual([
      ['kvm', true],
      ['tcg', true],
    ])
    expect(capabilities.flags).toContain('kvm')
  })

  test.each([
    ['avr', 'avr', ['arduino-duemilanove', 'arduino-mega', 'arduino-mega-2560-v3', 'arduino-uno']],
    ['microblaze', 'microblaze', ['petalogix-s3adsp1800', 'petalogix-ml605', 'xlnx-zynqmp-pmu']],
    ['or1k', 'or1k', ['or1k-sim', 'virt']],
  ] as const)('tells of %s, which has no accelerator', (name, arch, machines) => {
    const answers = deriveAnswers(ProbeConversation.parse(recordingOf(name)))
    expect(answers).toMatchObject({ arch, virtTypes: ['qemu'] })
    expect(answers.machines.map((machine) => machine.name).toSorted()).toEqual([...machines].toSorted())
  })

  test.each([
    ['a version beyond all numbers', ['"major": 7', '"major": 9000000'], /query-version.*major/],
    [
      'a package with control characters',
      ['"package": "Debian', '"package": "\\u0000Debian'],
      /query-version.*package/,
    ],
    ['a missing answer', ['"execute": "query-target"', '"execute": "query-nothing"'], /query-target/],
  ] as const)('refuses %s', (_what, [from, to], message) => {
    const text = recordingOf('avr')
    expect(text).toContain(from)
    expect(() => deriveAnswers(ProbeConversation.parse(text.replace(from, to)))).toThrow(message)
  })
})

test('flagRules name each flag once and state one fact each', () => {
  const names = flagRules.map(({ flag }) => flag)
  expect(new Set(names).size).toBe(names.length)
  const facts = flagRules.map(({ fact }) => JSON.stringify(fact))
  expect(new Set(facts).size).toBe(facts.length)
})

describe('ProbeRecording', () => {
  test('writes what is read back, with ids counted from 1 in each section', () => {
    const written = new ProbeRecording()
    const [first, second] = [written.beginSection(), written.beginSection()]
    const hear = (section: typeof first, command: string, answer: string): void => {
      const understood = parseQmpMessage(answer.trim())
      if (understood.kind === 'reply' || understood.kind === 'error') section.add({ command, answer, understood })
    }
    const negotiate = '{"execute":"qmp_capabilities","id":"chronovisor-1"}'
    hear(first, negotiate, '{"return": {}, "id": "chronovisor-1"}\r\n')
    hear(second, negotiate, '{"return": {}, "id": "chronovisor-1"}')
    const refusal = '{"id": "chronovisor-2", "error": {"class": "GenericError", "desc": "no"}}'
    hear(first, '{"execute":"qom-list-types","arguments":{"id":"chronovisor-9"},"id":"chronovisor-2"}', refusal)
    hear(second, '{"execute":"wide","id":"chronovisor-2"}', '{"return": 9007199254740993, "id": "chronovisor-2"}')
    const messages = written.text.split('\n\n')
    expect(messages[3]).toBe(
      '{\n  "id": "libvirt-2",\n  "error": {\n    "class": "GenericError",\n    "desc": "no"\n  }\n}',
    )
    expect(messages[4]).toContain('"id": "libvirt-1"')
    const read = ProbeConversation.parse(written.text)
    expect(ProbeConversation.heard([...written.sections, []]).sections, 'heard as it is read').toEqual(read.sections)
    expect(read.value(1, { command: 'wide' })).toBe(9007199254740993n)
    expect(read.sections).toHaveLength(2)
    expect(read.answer(0, { command: 'qom-list-types', args: { id: 'chronovisor-9' } })).toEqual({
      kind: 'error',
      errorClass: 'GenericError',
      description: 'no',
    })
  })

  test('indentJson() keeps numbers that JavaScript cannot hold, and texts with brackets', () => {
    expect(indentJson('{"a": [], "b": {"c": 18446744073709551615, "d": "x,{}\\""}, "e": [{}, 1.50]}')).toBe(
      '{\n  "a": [],\n  "b": {\n    "c": 18446744073709551615,\n    "d": "x,{}\\""\n  },\n  "e": [\n    {},\n    1.50\n  ]\n}',
    )
  })
})
