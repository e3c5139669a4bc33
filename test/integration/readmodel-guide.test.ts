import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Projection } from '../../src/readmodel/projection.ts'
import { ReadModels } from '../../src/readmodel/read-models.ts'
import { newEvent, openLog, write } from '../support/log-kit.ts'
import { projectRoot, readProjectFile } from '../support/project-files.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

vi.setConfig({ testTimeout: 60_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

/** A block of code of the guide. */
function blockOf(language: 'sql' | 'ts'): string {
  const [, guide = ''] = readProjectFile('README.md').split('### Write a projection in 30 lines\n')
  const found = new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``).exec(guide.split('\n### ')[0] ?? '')?.[1]
  if (found === undefined) throw new Error(`The guide has no block of ${language}`)
  return found
}

/** The text of the guide, run as it stands but for where it imports from. */
async function projectionOfGuide(directory: string): Promise<Projection> {
  const file = join(directory, 'domain-starts.ts')
  await writeFile(file, blockOf('ts').replaceAll("'../src/", `'${pathToFileURL(join(projectRoot, 'src')).href}/`))
  const made: { readonly domainStarts: Projection } = await import(pathToFileURL(file).href)
  return made.domainStarts
}

test('the projection of the guide counts starts, answers as of, and is rebuilt where its version is raised', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'guide-'))
  try {
    const domainStarts = await projectionOfGuide(directory)
    const address = await server.createDatabase()
    const database = address.database ?? ''
    const sqlOf = () => Promise.resolve(blockOf('sql'))
    const started = () => newEvent('DomainStarted', JSON.parse(readProjectFile('fixtures/events/DomainStarted.1.json')))
    const rows = (text: string) => server.run(database, text).then((result) => result.rows)
    {
      const models = new ReadModels({ projections: [domainStarts], sqlOf })
      await using log = await openLog(address, { participants: [models] })
      models.follow()
      await log.append([write('domain-web', [started()]), write('domain-db', [started()])])
      await log.append([write('domain-web', [started()])])
      const view = await models.asOf({ position: log.head.position }, { background: [domainStarts] })
      expect(view.position).toBe(3n)
      expect(await rows('select domain_uuid, starts, to_position from domain_starts order by from_position')).toEqual([
        { domain_uuid: 'web', starts: 1, to_position: '3' },
        { domain_uuid: 'db', starts: 1, to_position: null },
        { domain_uuid: 'web', starts: 2, to_position: null },
      ])
      expect(await models.replayCheck()).toMatchObject({ identical: true })
      await models.close()
    }
    const next = new ReadModels({ projections: [{ ...domainStarts, version: 2 }], sqlOf })
    await using log = await openLog(address, { participants: [next] })
    next.follow()
    await next.projection('domain_starts').background?.reach(log.head.position, { limitMs: 30_000 })
    expect(await rows('select name, version, state from projection')).toEqual([
      { name: 'domain_starts', version: 2, state: 'following' },
    ])
    expect(await rows('select starts from domain_starts where to_position is null order by 1')).toEqual([
      { starts: 1 },
      { starts: 2 },
    ])
    await next.close()
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('the guide keeps its word: 30 lines of handlers, and a comment on every column', () => {
  expect(blockOf('ts').trimEnd().split('\n').length).toBeLessThanOrEqual(30)
  expect(blockOf('sql').match(/^comment on column/gm)).toHaveLength(3)
})
