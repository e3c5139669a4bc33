import { describe, expect, test } from 'vitest'
import { eventsCommand } from '../../src/cli/events-command.ts'
import { catalogue } from '../../src/events/catalogue.ts'
import { describeTypes } from '../../src/events/describe-catalogue.ts'
import { runCli } from '../support/cli-run.ts'
import { versionedCatalogue } from '../support/versioned-catalogue.ts'

const nowhere = { database: null, socketDir: '/nonexistent' }
const run = async (args: readonly string[], options: Readonly<Record<string, unknown>> = {}) =>
  await runCli(eventsCommand, nowhere, { args, options })

describe('chronovisor events', () => {
  test('lists every type with its version, its streams and its meaning, without a daemon', async () => {
    const { code, text } = await run([])
    expect(code).toBe(0)
    const lines = text.split('\n')
    expect(lines).toHaveLength(1 + Object.keys(catalogue).length)
    expect(lines[1]).toMatch(/^DaemonStarted +1 +node-<host uuid> +A daemon became the writer/)
  })

  test('shows the fields of one type, however it is written, with those of nested data', async () => {
    const { code, text } = await run(['backingchaindetected'])
    expect(code).toBe(0)
    expect(text).toMatch(/^BackingChainDetected, version 1, on domain-<uuid>$/m)
    expect(text).toMatch(/^layers +list of object +its layers, active image first$/m)
    expect(text).toMatch(/^ {2}format +qcow2 \| raw +format of the image$/m)
    expect(text).toMatch(/^ {4}sizeBytes +decimal text +bytes +size of the file$/m)
    expect((await run(['BlockJobPivoted'])).text).toMatch(/^frozenMs +number or null +ms +how long/m)
    expect((await run(['DomainStarted'])).text).toMatch(/^terminals +map of text +pseudo terminals/m)
    expect((await run(['DomainDestroyRequested'])).text.split('\n')).toHaveLength(2)
  })

  test('refuses a type that does not exist, naming the nearest', async () => {
    await expect(run(['DomainStarte'])).rejects.toThrow(
      'Cannot show the event type "DomainStarte": there is no such type; known are "DomainStarted"',
    )
  })

  test('gives documents for programs, and the metadata that every event has', async () => {
    const all: unknown = JSON.parse((await run([], { json: true })).text)
    expect(all).toMatchObject({
      metadata: expect.arrayContaining([expect.objectContaining({ name: 'actor', type: 'object' })]),
      types: expect.arrayContaining([expect.objectContaining({ type: 'BlockJobReady', version: 1 })]),
    })
    expect(JSON.parse((await run(['DomainAutostartChanged'], { json: true })).text)).toEqual({
      type: 'DomainAutostartChanged',
      version: 1,
      streams: ['domain-<uuid>'],
      meaning: catalogue.DomainAutostartChanged.meaning,
      fields: [
        {
          name: 'autostart',
          type: 'boolean',
          unit: null,
          meaning: 'whether it starts with the host',
          mayBeNull: false,
          fields: [],
        },
      ],
    })
  })

  test('prints pages in which a bar inside a cell stays what it is', async () => {
    expect((await run(['DriftDetected'], { markdown: true })).text).toMatch(/^### DriftDetected\n\nVersion 1\. /)
    expect((await run(['BlockJobRequested'], { markdown: true })).text).toContain('| `onReady` | pivot \\| keep |')
  })
})

test('describeTypes() describes the newest version of a type that has several', () => {
  const [taken] = describeTypes([{ streams: ['backup-<name>'], facts: versionedCatalogue, growth: 'one' }])
  expect(taken).toMatchObject({ type: 'BackupTaken', version: 3 })
  expect(taken?.fields.map(({ name, mayBeNull }) => [name, mayBeNull])).toEqual([
    ['name', false],
    ['sizeBytes', false],
    ['reasons', false],
    ['askedBy', true],
  ])
})
