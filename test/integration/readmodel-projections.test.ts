import { readdir } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { backingChains } from '../../projections/backing-chains.ts'
import { blockJobs } from '../../projections/block-jobs.ts'
import { claims } from '../../projections/claims.ts'
import { domainDefinitions } from '../../projections/domain-definitions.ts'
import { domainStates } from '../../projections/domain-states.ts'
import { emulators } from '../../projections/emulators.ts'
import { openIntents } from '../../projections/open-intents.ts'
import { snapshots } from '../../projections/snapshots.ts'
import { ReadModels } from '../../src/readmodel/read-models.ts'
import { openLog } from '../support/log-kit.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

const projections = [
  backingChains,
  blockJobs,
  claims,
  domainDefinitions,
  domainStates,
  emulators,
  openIntents,
  snapshots,
]

vi.setConfig({ testTimeout: 60_000 })

let server: ScratchPostgres
beforeAll(async () => {
  server = await ScratchPostgres.start()
}, 60_000)
afterAll(() => server[Symbol.asyncDispose]())

test('every projection of the product opens on its SQL file, and every column of every table has a comment', async () => {
  const address = await server.createDatabase()
  const models = new ReadModels({ projections, decode: ({ type }) => ({ type: `not ${type}` }) })
  await using _log = await openLog(address, { participants: [models] })
  const uncommented = await server.run(
    address.database ?? '',
    `select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v') and a.attnum > 0 and not a.attisdropped
        and c.relname <> 'schema_migration' and col_description(c.oid, a.attnum) is null`,
  )
  expect(uncommented.rows).toEqual([])
  expect(await models.replayCheck()).toMatchObject({ identical: true })
})

test('the list above has every SQL file of projections/', async () => {
  const files = (await readdir(new URL('../../projections/', import.meta.url))).filter((name) => name.endsWith('.sql'))
  expect(files.toSorted()).toEqual(projections.map(({ name }) => `${name.replaceAll('_', '-')}.sql`).toSorted())
})
