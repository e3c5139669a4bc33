import { existsSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { setupPackages } from '../src/cli/setup-packages.ts'
import { eventsMarkdown } from '../src/cli/events-markdown.ts'
import { catalogue, decodeFact, encodeData, families } from '../src/events/catalogue.ts'
import { describeFields, describeTypes } from '../src/events/describe-catalogue.ts'
import { metadataSchema } from '../src/events/metadata.ts'
import { playEvents } from './support/event-story.ts'
import { projectFiles, projectRoot, readProjectFile } from './support/project-files.ts'
import * as facts from './support/source-facts.ts'

const MOST_LINES = 400
const topLevel =
  'package.json package-lock.json tsconfig.json src migrations projections test fixtures README.md LICENSE'.split(' ')
const files = projectFiles()
const sources = files.filter((file) => /^(src|projections)\/.*\.ts$/.test(file))
const tests = files.filter((file) => /^test\/.*\.(ts|py|sh|json)$/.test(file))
const packageJson = v.parse(
  v.object({
    scripts: v.record(v.string(), v.string()),
    files: v.array(v.string()),
    bin: v.record(v.string(), v.string()),
  }),
  JSON.parse(readProjectFile('package.json')),
)

/** Rows `file: finding` over many files, so that a failure names everything at once. */
function findings(of: readonly string[], find: (text: string) => readonly string[]): string[] {
  return of.flatMap((file) => find(readProjectFile(file)).map((finding) => `${file}: ${finding}`))
}

describe('the tree', () => {
  test('has nothing at its top but the agreed entries and dot-files', () => {
    const entries = new Set(files.map((file) => file.split('/')[0] ?? ''))
    expect(entries).toContain('src')
    expect([...entries].filter((entry) => !topLevel.includes(entry) && !entry.startsWith('.'))).toEqual([])
  })

  test('has flat folders, kebab-case names and no barrels', () => {
    expect(sources.length).toBeGreaterThan(20)
    const names = /^(src\/(?:[a-z]+\/)?|projections\/)[a-z0-9]+(-[a-z0-9]+)*\.ts$/
    expect(sources.filter((file) => !names.test(file) || file.endsWith('/index.ts'))).toEqual([])
  })

  test(`has no file of its own with more than ${MOST_LINES} lines`, () => {
    const ours = files.filter((file) => /\.(ts|js|sql|py|sh)$/.test(file) && !file.startsWith('fixtures/'))
    const tooLong = ours.filter((file) => readProjectFile(file).split('\n').length - 1 > MOST_LINES)
    expect(ours.length).toBeGreaterThan(sources.length)
    expect(tooLong).toEqual([])
  })

  test('names no path of the machine it was written on', () => {
    const texts = files.filter((file) => /\.(ts|js|json|sql|md|py|sh|service|yml)$|(^|\/)run$/.test(file))
    const places = [projectRoot.replace(/\/$/, ''), join(homedir(), '.')]
    const found = texts.filter((file) => places.some((place) => readProjectFile(file).includes(`${place}/`)))
    expect(texts.length).toBeGreaterThan(sources.length)
    expect(found).toEqual([])
  })

  test('leaves no work marked as undone, no test switched off, no check silenced', () => {
    const marks = [
      'TO' + 'DO',
      'FIX' + 'ME',
      'X'.repeat(3),
      'not ' + 'implemented',
      '@ts-' + 'ignore',
      '@ts-' + 'expect-error',
    ]
    const silenced = ['oxlint-' + 'disable', 'eslint-' + 'disable', 'biome-' + 'ignore']
    const words = new RegExp(`\\b(${marks.slice(0, 3).join('|')})\\b|${[...marks.slice(3), ...silenced].join('|')}`)
    const off = /\b(it|test|describe)\.(only|skip|todo)\b/
    const code = [...sources, ...tests.filter((file) => file.endsWith('.ts'))]
    const find = (text: string): string[] => text.split('\n').filter((line) => words.test(line) || off.test(line))
    expect(findings(code, find)).toEqual([])
    expect(find(`// ${marks[0]}: later`)).toHaveLength(1)
  })
})

describe('src', () => {
  test('has a comment on every export', () => {
    expect(findings(sources, facts.exportsWithoutComment)).toEqual([])
    const bare = '/** Says it. */\nexport const a = 1\nexport const b = 2\n/** x */\nexport type C = 1'
    expect(facts.exportsWithoutComment(bare)).toEqual(['3: export const b = 2', '5: export type C = 1'])
  })

  test('imports by literal names only, which the linter can judge', () => {
    const layered = sources.filter((file) => !/^src\/(cli\/|main\.ts)/.test(file))
    const find = (text: string): string[] => [...text.matchAll(/\bimport\(\s*[^'"\s)]/g)].map((match) => match[0])
    expect(findings(layered, find)).toEqual([])
    expect(find('await import(`../x.ts`)')).toHaveLength(1)
  })
})

describe('the catalogue of events', () => {
  const types = Object.entries(catalogue)
  const golden = existsSync(join(projectRoot, 'fixtures/events'))
    ? readdirSync(join(projectRoot, 'fixtures/events'))
    : []

  test('names every event as a past fact', () => {
    expect(types.length).toBeGreaterThan(20)
    expect(types.map(([type]) => type).filter((type) => !facts.isPastTense(type))).toEqual([])
    expect(['DomainStart', 'StartDomain', 'BlockJobRunning', 'domainStarted'].filter(facts.isPastTense)).toEqual([])
  })

  test('says of every type on which streams it stands, and of every field what it means', () => {
    const described = describeTypes(families)
    expect(described.map(({ type }) => type).toSorted()).toEqual(types.map(([type]) => type).toSorted())
    const bare = {
      streams: ['a-<b>'],
      growth: 'one',
      facts: { ItHappened: { ...catalogue.ClockJumped, data: v.object({ a: v.string() }) } },
    }
    expect(() => describeTypes([bare])).toThrow('Cannot describe ItHappened.a: it does not say what it means')
  })

  test('is printed in fixtures/reference/events.md (chronovisor events --markdown)', () => {
    const page = eventsMarkdown(families, describeFields('metadata', metadataSchema))
    expect(readProjectFile('fixtures/reference/events.md').trimEnd()).toBe(page.trimEnd())
  })

  test('has a golden fixture for every type and schema version', () => {
    const wanted = types.flatMap(([type, row]) =>
      Array.from({ length: row.schema }, (_, index) => `${type}.${index + 1}.json`),
    )
    expect(wanted.filter((name) => !golden.includes(name))).toEqual([])
    expect(golden.filter((name) => !wanted.includes(name))).toEqual([])
  })

  test.each(golden)(
    'reads fixtures/events/%s into the newest form, and writes that back to what is read again',
    (name) => {
      const [type = '', schema = ''] = name.split('.')
      const text = readProjectFile(`fixtures/events/${name}`).trimEnd()
      const fact = decodeFact(type, { schema: Number(schema), data: Buffer.from(text) })
      expect(fact.type).toBe(type)
      const written = encodeData(fact.data)
      expect(decodeFact(type, { schema: fact.schema, data: Buffer.from(written) })).toEqual(fact)
      if (fact.schema === Number(schema)) expect(JSON.parse(written)).toEqual(JSON.parse(text))
    },
  )

  test('has fixtures that are recordings (test/support/record-events.ts), but for those named here', async () => {
    const played = new Set((await playEvents()).map(({ type }) => type))
    // Recorded by a daemon with QEMU; test/integration/refusal-flood.test.ts shows that it still records them.
    const byDaemon = ['DaemonStarted', 'DaemonStopped', 'HostFactsObserved']
    const madeByHand = [
      'ClockJumped',
      'ProjectionStreamRetried',
      'ProjectionEventSkipped',
      'ProjectionRebuilt',
      'PayloadErased',
    ]
    const recorded = types.map(([type]) => type).filter((type) => played.has(type) || byDaemon.includes(type))
    expect([...recorded, ...madeByHand].toSorted()).toEqual(types.map(([type]) => type).toSorted())
  })
})

describe('the front ends', () => {
  test('have a test for every procedure that is served', () => {
    const handlers = sources.filter((file) => /^src\/rpc\/.*-handlers\.ts$/.test(file))
    const names = handlers.flatMap((file) => facts.handlerNames(readProjectFile(file)))
    const recordings = files.filter((file) => file.startsWith('fixtures/rpc/'))
    const words = new Set([...tests, ...recordings].flatMap((file) => readProjectFile(file).match(/\w+/g) ?? []))
    if (handlers.length > 0) expect(names.length).toBeGreaterThan(30)
    expect(names.filter((name) => !words.has(name) && !words.has(facts.wireName(name)))).toEqual([])
  })
})

describe('projections', () => {
  test('have a COMMENT on every column of every table and view', () => {
    const scripts = files.filter((file) => /^projections\/.*\.sql$/.test(file))
    const read = scripts.map((file) => ({ file, ...facts.columnsWithoutComment(readProjectFile(file)) }))
    expect(read.filter(({ columns }) => columns === 0).map(({ file }) => file)).toEqual([])
    expect(read.flatMap(({ file, bare }) => bare.map((column) => `${file}: ${column}`))).toEqual([])
    const sql = `create table a (x int, y numeric(3, 1), primary key (x)); comment on column a.x is 'the x';
      create view b as select x, coalesce(y, 1) as z from a; comment on column b.x is 'the x';`
    expect(facts.columnsWithoutComment(sql)).toEqual({ columns: 4, bare: ['a.y', 'b.z'] })
  })
})

describe('the commands', () => {
  test('shown in the README exist', () => {
    const { scripts, subcommands } = facts.readmeCommands(readProjectFile('README.md'))
    expect(scripts).toEqual(expect.arrayContaining(['setup', 'start', 'test']))
    expect(scripts.filter((name) => !(name in packageJson.scripts))).toEqual([])
    const cli = sources
      .filter((file) => file.startsWith('src/cli/'))
      .map(readProjectFile)
      .join('\n')
    const known = (name: string): boolean =>
      new RegExp(`\\b(command|name)\\(['"\`]${name}\\b|['"\`]${name}['"\`]`).test(cli)
    expect(subcommands.filter((name) => !known(name))).toEqual([])
  })

  test('and files shown in the README exist', () => {
    const spans = facts.readmePaths(readProjectFile('README.md'))
    const absent = (span: string): boolean => !files.some((file) => facts.isBelow(file, span))
    expect(spans.length).toBeGreaterThan(20)
    expect(spans.filter(absent)).toEqual([])
    expect(['src/rpc/*-handlers.ts', 'src/nowhere', 'projections/<name>.sql', 'src/rp'].filter(absent)).toEqual([
      'src/nowhere',
      'src/rp',
    ])
  })

  test('of package.json run files that are there', () => {
    const scripts = Object.entries(packageJson.scripts)
    const targets = scripts.flatMap(([name, script]) => {
      const target = /^(?:exec )?node ((?:src|test)\/\S+)/.exec(script)?.[1]
      return target === undefined ? [] : [{ name, target }]
    })
    expect(targets.length).toBeGreaterThan(3)
    expect(targets.filter(({ target }) => !files.includes(target))).toEqual([])
    expect(Object.values(packageJson.bin).filter((file) => !files.includes(file))).toEqual([])
  })

  test('of .ci/run are the README’s test command, with every tool required', () => {
    const script = readProjectFile('.ci/run')
    const required = /^export CHRONOVISOR_REQUIRE=(.*)$/m.exec(script)?.[1]?.split(',')
    expect(required).toEqual([...setupPackages.map((row) => row.package), 'corpora', 'npm-registry'])
    expect(script.trimEnd().split('\n').at(-1)).toBe('npm ci && npm run setup && npm test')
  })
})
