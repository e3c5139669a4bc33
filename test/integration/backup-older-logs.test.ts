import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkCommand } from '../../src/cli/check-command.ts'
import { backupLog } from '../../src/eventstore/backup-log.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import { restoreLog } from '../../src/eventstore/restore-log.ts'
import { scratchDirectory } from '../support/backup-kit.ts'
import { runCli } from '../support/cli-run.ts'
import { projectRoot } from '../support/project-files.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'
import { StoryLog } from '../support/story-log.ts'

/** What the logs in fixtures/logs hold: each was written by a daemon of that release and dumped. */
const logs = {
  '0.1.0.sql.gz': {
    migrations: 2,
    last: 58n,
    commitNo: 41n,
    root: '5e24309e3534045a176d6b6e73278f2314bafff0f98f4f2388ae912ec09621a1',
  },
} as const

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
})
afterAll(() => server[Symbol.asyncDispose]())

async function load(name: string): Promise<PostgresAddress> {
  const address = await server.createDatabase()
  await server.run(address.database ?? '', gunzipSync(readFileSync(`${projectRoot}/fixtures/logs/${name}`)).toString())
  return address
}

function url({ database }: PostgresAddress): string {
  return `postgres://log@localhost/${database}?host=${encodeURIComponent(server.socketDir)}`
}

describe('a log of an older release', () => {
  test('is there for each file of fixtures/logs', () => {
    expect(readdirSync(`${projectRoot}/fixtures/logs`)).toEqual(Object.keys(logs))
  })

  test.each(Object.entries(logs))(
    '%s is opened, brought to this schema, and checked whole',
    async (name, { last, root }) => {
      const address = await load(name)
      const story = await StoryLog.open(address)
      expect(story.store.head.position).toBe(last + 1n)
      await story.refuse()
      await story[Symbol.asyncDispose]()
      const { rows } = await server.run(
        address.database ?? '',
        `select encode(root, 'hex') as root from commit where last_pos = ${last}`,
      )
      expect(rows).toEqual([{ root }])
      const checked = await runCli(
        checkCommand,
        { database: url(address), socketDir: '/nonexistent' },
        { options: { all: true } },
      )
      expect(checked.text).not.toMatch(/finding/)
      expect(checked.text).toMatch(/^I5 +ok/m)
      expect(checked.text).toMatch(/^I6 +ok/m)
    },
  )

  test.each(Object.entries(logs))('%s is backed up as it is, and restored into this schema', async (name, expected) => {
    const address = await load(name)
    await using dir = await scratchDirectory()
    const { manifest } = await backupLog({ address, dir: dir.path })
    expect(manifest.migrations).toHaveLength(expected.migrations)
    expect(manifest.head).toMatchObject({ position: expected.last, commitNo: expected.commitNo, root: expected.root })
    const target = await server.createDatabase()
    expect((await restoreLog({ address: target, dir: dir.path })).checked).toMatchObject({ root: expected.root })
    const story = await StoryLog.open(target)
    await story[Symbol.asyncDispose]()
    const checked = await runCli(
      checkCommand,
      { database: url(target), socketDir: '/nonexistent' },
      { options: { all: true } },
    )
    expect(checked.text).not.toMatch(/finding/)
  })
})
