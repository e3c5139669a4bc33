import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { flagRules } from '../../src/qemu/flag-rules.ts'
import { interviewEmulator } from '../../src/qemu/interview-emulator.ts'
import { indentJson, ProbeRecording, replayConversation } from '../../src/qemu/probe-recording.ts'

const recording = gunzipSync(
  readFileSync(new URL('../../fixtures/qmp/qemu-7.2.22-debian-x86_64-kvm.replies.gz', import.meta.url)),
).toString('utf8')

/** The recording behind its first exchange, which the connection itself made. */
function afterNegotiation(text: string): string {
  return text.split('\n\n').slice(2).join('\n\n')
}

describe('interviewEmulator()', () => {
  test('derives from a recording of Debian 12 what the emulator can do', async () => {
    const answers = await interviewEmulator(replayConversation(afterNegotiation(recording)))
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
  })

  test('gives up when the recorded conversation is another one', async () => {
    const replay = replayConversation(recording)
    await expect(interviewEmulator(replay)).rejects.toThrow(
      /question 1 is .*query-version.*recorded is .*qmp_capabilities/,
    )
  })

  test('asks for no properties of a type that does not exist', async () => {
    const asked: string[] = []
    const replay = replayConversation(afterNegotiation(recording))
    await interviewEmulator(async (command, args) => {
      if (command === 'device-list-properties') asked.push(JSON.stringify(args))
      return await replay(command, args)
    })
    expect(asked).toContain('{"typename":"virtio-blk-pci"}')
    expect(new Set(asked).size).toBe(asked.length)
  })
})

test('flagRules name each flag once and state one fact each', () => {
  const names = flagRules.map(({ flag }) => flag)
  expect(new Set(names).size).toBe(names.length)
  const facts = flagRules.map(({ fact }) => JSON.stringify(fact))
  expect(new Set(facts).size).toBe(facts.length)
})

describe('ProbeRecording', () => {
  test('writes what a replay reads, with ids counted from 1', async () => {
    const written = new ProbeRecording()
    written.add('{"execute":"query-kvm","id":"chronovisor-7"}')
    written.add('{"return": {"enabled": true, "present": true}, "id": "chronovisor-7"}\r\n')
    written.add('{"execute":"qom-list-types","arguments":{"id":"chronovisor-9"},"id":"chronovisor-8"}')
    written.add('{"id": "chronovisor-8", "error": {"class": "GenericError", "desc": "no"}}')
    expect(written.text.split('\n\n')[3]).toBe(
      '{\n  "id": "libvirt-2",\n  "error": {\n    "class": "GenericError",\n    "desc": "no"\n  }\n}\n',
    )
    const replay = replayConversation(written.text)
    expect(await replay('query-kvm')).toEqual({ enabled: true, present: true })
    await expect(replay('qom-list-types', { id: 'chronovisor-9' })).rejects.toMatchObject({
      errorClass: 'GenericError',
    })
  })

  test('indentJson() keeps numbers that JavaScript cannot hold, and texts with brackets', () => {
    expect(indentJson('{"a": [], "b": {"c": 18446744073709551615, "d": "x,{}\\""}, "e": [{}, 1.50]}')).toBe(
      '{\n  "a": [],\n  "b": {\n    "c": 18446744073709551615,\n    "d": "x,{}\\""\n  },\n  "e": [\n    {},\n    1.50\n  ]\n}',
    )
  })
})
