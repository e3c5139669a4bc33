import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { capsDependentsCommand } from '../../src/cli/caps-dependents-command.ts'
import { capsDiffCommand } from '../../src/cli/caps-diff-command.ts'
import { capsExportCommand } from '../../src/cli/caps-export-command.ts'
import { capsHostCommand } from '../../src/cli/caps-host-command.ts'
import { capsImportCommand } from '../../src/cli/caps-import-command.ts'
import { capsShowCommand } from '../../src/cli/caps-list-command.ts'
import { capsRebuildCommand } from '../../src/cli/caps-rebuild-command.ts'
import { exitCode } from '../../src/cli/exit-code.ts'
import { subcommands } from '../../src/cli/subcommands.ts'
import type { Run } from '../../src/cli/invocation.ts'
import { documentText } from '../../src/commands/caps-document.ts'
import { emulatorStream } from '../../src/events/stream-names.ts'
import { hostParts } from '../../src/host/host-parts.ts'
import { deriveAnswers } from '../../src/qemu/derive-answers.ts'
import { ProbeConversation } from '../../src/qemu/probe-conversation.ts'
import { sha256 } from '../../src/util/sha256.ts'
import { type CliRun, runCli } from '../support/cli-run.ts'
import { recordingOf } from '../support/recorded-emulators.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'
import { emulatorPath, firstCaps, StoryLog } from '../support/story-log.ts'

let server: ScratchPostgres
let directory: string
/** A log whose versions come out the same again, and one with two that do not. */
const databases = { honest: '', tampered: '' }

/** Records a probe of a recorded emulator; `changed` is what was stored in place of the document. */
async function probed(
  story: StoryLog,
  name: 'avr' | 'or1k',
  { capsId, changed }: { readonly capsId: string; readonly changed?: (document: string) => string },
): Promise<bigint> {
  const conversation = recordingOf(name)
  const answers = deriveAnswers(ProbeConversation.parse(conversation))
  const document = (changed ?? String)(documentText(answers))
  const binary = `/usr/bin/qemu-system-${name}`
  const identity = {
    ...{
      resolvedPath: binary,
      device: 1n,
      inode: 10n,
      sizeBytes: 1000n,
      ctimeNs: 5_000_000_000n,
      sha256: 'a'.repeat(64),
    },
    ...{ executablePath: binary, kvmUsable: false, moduleDirectory: null, moduleDirectoryMtimeNs: null },
    ...{ kernel: '6.1', microcode: '0x11', hostCpu: 'cpu', nestedKvm: false, uid: 1, gid: 1 },
    ...{ executable: null, daemonBuild: '1', cpuid: null, secureGuest: 'none', firmware: null },
  }
  const about = { capsId, binary, arch: answers.arch, emulatorVersion: answers.version, package: answers.package }
  const hashes = { documentSha256: sha256(document), conversationSha256: sha256(conversation) }
  const beside = { stream: emulatorStream(sha256(binary)), texts: [document, conversation] }
  return await story.record('EmulatorProbed', { ...about, ...hashes, identity, durationMs: 1 }, beside)
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'caps-'))
  server = await ScratchPostgres.start()
  const [honest, tampered] = [await server.createDatabase(), await server.createDatabase()]
  databases.honest = honest.database ?? ''
  databases.tampered = tampered.database ?? ''
  await using story = await StoryLog.open(honest)
  await probed(story, 'avr', { capsId: 'avr-1' })
  await probed(story, 'or1k', { capsId: 'or1k-1' })
  await using other = await StoryLog.open(tampered)
  await probed(other, 'avr', {
    capsId: 'avr-1',
    changed: (document) => document.replace('"blockdev",', '').replace('arduino-mega', 'arduino-giga'),
  })
  await probed(other, 'or1k', { capsId: 'or1k-1' })
  await other.probe()
  await other.define('<domain/>')
}, 60_000)
afterAll(async () => {
  rmSync(directory, { recursive: true })
  await server[Symbol.asyncDispose]()
})

function cli(
  run: Run,
  args: readonly string[],
  {
    options = {},
    of = 'honest',
  }: { readonly options?: Record<string, unknown>; readonly of?: keyof typeof databases } = {},
): Promise<CliRun> {
  const database = `postgres://log@localhost/${databases[of]}?host=${encodeURIComponent(server.socketDir)}`
  return runCli(run, { database, socketDir: '/nonexistent' }, { args, options })
}

const json = { options: { json: true } }

describe('caps rebuild', () => {
  test('finds no difference where nothing was changed, without running an emulator', async () => {
    const { code, text } = await cli(capsRebuildCommand, [])
    expect([code, text]).toEqual([exitCode.found, '2 capability versions derived again, 0 different'])
  })

  test('names each fact that comes out different, and goes on behind a version that cannot be read', async () => {
    const { code, text } = await cli(capsRebuildCommand, [], { of: 'tampered' })
    expect(code).toBe(exitCode.finding)
    expect(text).toContain('own flag blockdev: was not stated, is set')
    expect(text).toMatch(/machine arduino-giga\S*: was .*, is not stated/)
    expect(text).toContain(`${firstCaps}  ${emulatorPath}`)
    expect(text).toContain('Cannot derive capabilities from the recorded conversation')
    expect(text).toContain('3 capability versions derived again, 2 different')
  })
})

describe('caps export, import and show', () => {
  test('export what was said, byte for byte, and make the same of it', async () => {
    const exported = await cli(capsExportCommand, ['qemu-system-avr'])
    expect(`${exported.text}\n`).toBe(recordingOf('avr'))
    const file = join(directory, 'avr.replies')
    writeFileSync(file, `${exported.text}\n`)
    const imported = await cli(capsImportCommand, [file], json)
    const shown = await cli(capsShowCommand, ['avr-1'], json)
    expect(JSON.parse(shown.text)).toMatchObject({ capsId: 'avr-1', document: JSON.parse(imported.text) })
  })

  test.each(['11.3.0', '9.0.0'])('show a document in layout %s', async (format) => {
    const { text } = await cli(capsShowCommand, ['or1k-1'], { options: { format } })
    const lines = text.split('\n')
    expect(lines.slice(0, 3)).toEqual([
      '<qemuCaps>',
      '  <emulator>/usr/bin/qemu-system-or1k</emulator>',
      '  <qemuctime>5</qemuctime>',
    ])
    expect(text).toContain('<microcodeVersion>17</microcodeVersion>')
    expect(lines.at(-1)).toBe('</qemuCaps>')
  })

  test('show the past, and say where a version was not there yet', async () => {
    const asOf = async (position: string) =>
      await cli(capsShowCommand, ['qemu-system-or1k'], { options: { asOf: position } })
    expect((await asOf('@2')).text).toContain('or1k-1')
    await expect(asOf('@1')).rejects.toThrow('Cannot find "qemu-system-or1k" at @1')
    await expect(cli(capsShowCommand, ['avr-1'], { options: { format: '10' } })).rejects.toThrow(/11\.3\.0/)
  })

  test.each([
    ['half a conversation', recordingOf('avr').slice(0, 5_000), /message \d+ is no JSON|last question has no answer/],
    ['no conversation', 'hello\n\nworld\n', /message 1 is no JSON/],
    ['nothing', '', /query-version/],
    ['another order', recordingOf('avr').split('\n\n').slice(1, -1).join('\n\n'), /message 1 is no QMP command/],
  ])('refuse a file with %s, by its name', async (_what, text, message) => {
    const file = join(directory, 'odd.replies')
    writeFileSync(file, text)
    const importing = cli(capsImportCommand, [file])
    await expect(importing).rejects.toThrow(message)
    await expect(importing).rejects.toThrow(file)
    await expect(cli(capsImportCommand, [directory])).rejects.toThrow('no regular file')
  })
})

test('caps diff tells the facts by which two versions differ', async () => {
  expect(await cli(capsDiffCommand, ['avr-1', 'qemu-system-avr'])).toEqual({ code: exitCode.found, text: '' })
  const { code, text } = await cli(capsDiffCommand, ['avr-1', 'or1k-1'])
  expect(code).toBe(exitCode.finding)
  expect(text).toContain('- arch: avr\n+ arch: or1k')
  expect(text).toContain('+ flag virtio-net: set')
  expect(text).toMatch(/- tcg machine uno: |- tcg machine arduino-uno: /)
})

test('caps dependents names the domains of a version', async () => {
  const { code, text } = await cli(capsDependentsCommand, [firstCaps], { of: 'tampered' })
  expect(code).toBe(exitCode.found)
  expect(text).toMatch(/^web +\S+ +defined +@\d+ +still$/m)
  expect((await cli(capsDependentsCommand, ['avr-1'])).code).toBe(exitCode.nothing)
})

test('caps host tells in its help of every part that there is', () => {
  const help = subcommands.find(({ name }) => name === 'caps host')?.options?.[0]?.[1]
  expect(help).toBe(`some of ${Object.keys(hostParts()).join(', ')}; separated by commas`)
})

test('caps host reads the parts that are asked for', async () => {
  const { text } = await cli(capsHostCommand, [], { options: { part: 'cpu,iommu,migration', json: true } })
  expect(Object.keys(JSON.parse(text))).toEqual(['cpu', 'iommu', 'migration'])
  await expect(cli(capsHostCommand, [], { options: { part: 'gpu' } })).rejects.toThrow('known are cpu, numa')
})
