import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { backupLog } from '../../src/eventstore/backup-log.ts'
import type { EventStore } from '../../src/eventstore/event-store.ts'
import type { PostgresAddress } from '../../src/eventstore/postgres-address.ts'
import type { RecordedEvent } from '../../src/eventstore/recorded-event.ts'
import { restoreLog } from '../../src/eventstore/restore-log.ts'
import { scratchDirectory } from '../support/backup-kit.ts'
import { collect, newEvent, openLog, write } from '../support/log-kit.ts'
import { requireTool } from '../support/require-tool.ts'
import { ScratchPostgres } from '../support/scratch-postgres.ts'

type Server = 'embedded' | 'debian'

const hasDebian = requireTool('postgresql-15')
/** Both directions between the two servers; without the second one, a new cluster of the first. */
const moves: readonly (readonly [Server, Server])[] = hasDebian
  ? [
      ['embedded', 'debian'],
      ['debian', 'embedded'],
    ]
  : [['embedded', 'embedded']]

async function someLog(server: ScratchPostgres): Promise<{ address: PostgresAddress; log: EventStore }> {
  const address = await server.createDatabase()
  // Far ahead of any new cluster: an order that came from transaction ids would not survive the way there.
  await server.run(
    address.database ?? '',
    'do $$ begin for n in 1..2000 loop perform txid_current(); commit; end loop; end $$',
  )
  const log = await openLog(address)
  for (let at = 0; at < 300; at += 1)
    await log.append([write(`s-${at % 9}`, [newEvent('Put', { at }), newEvent('Put', { at })])])
  return { address, log }
}

async function expectSame(log: EventStore, address: PostgresAddress, root: string): Promise<readonly RecordedEvent[]> {
  const events = await collect(log.readAll())
  const before = log.head
  await using again = await openLog(address)
  const restored = await collect(again.readAll())
  expect(restored.slice(0, -1)).toEqual(events)
  expect(Buffer.from(before.root).toString('hex')).toBe(root)
  expect(restored.at(-1)).toMatchObject({ position: before.position + 1n, epoch: before.epoch + 1 })
  const { lastPosition } = await again.append([
    write('s-0', [newEvent('Put')], { expectedRevision: lastRevision(events, 's-0') }),
  ])
  expect(lastPosition).toBe(before.position + 2n)
  return restored
}

function lastRevision(events: readonly RecordedEvent[], stream: string): bigint {
  return events.filter((event) => event.stream === stream).at(-1)?.revision ?? -1n
}

describe('T4: transaction ids do not survive a new cluster', () => {
  test.each(moves)(
    'the same root and order after backup and restore from the %s server to the %s one',
    async (from, to) => {
      await using source = await ScratchPostgres.start({ server: from })
      await using target = await ScratchPostgres.start({ server: to })
      await using directory = await scratchDirectory()
      const { address, log } = await someLog(source)
      await using _log = log
      const { manifest } = await backupLog({ address, dir: directory.path, segmentRows: 256 })
      const copy = await target.createDatabase()
      const { checked } = await restoreLog({ address: copy, dir: directory.path })
      expect(checked.root).toBe(manifest.head.root)
      const ids = await Promise.all(
        [
          source.run('postgres', 'select txid_current() as id'),
          target.run('postgres', 'select txid_current() as id'),
        ].map(async (result) => Number((await result).rows[0]?.id)),
      )
      expect(ids[1]).toBeLessThan(ids[0] ?? 0)
      await expectSame(log, copy, checked.root)
    },
  )

  test.skipIf(!hasDebian)('the same root and order after pg_dump and pg_restore', async () => {
    await using source = await ScratchPostgres.start({ server: 'debian' })
    await using target = await ScratchPostgres.start({ server: 'debian' })
    await using directory = await scratchDirectory()
    const { address, log } = await someLog(source)
    await using _log = log
    const copy = await target.createDatabase()
    const file = join(directory.path, 'dump')
    const at = ({ host, port, user, database }: PostgresAddress): string[] => [
      ...['-h', host ?? '', '-p', String(port), '-U', user ?? '', '-d', database ?? ''],
    ]
    execFileSync(join(source.binDir, 'pg_dump'), [...at(address), '-Fc', '-f', file])
    execFileSync(join(target.binDir, 'pg_restore'), [...at(copy), '--exit-on-error', file])
    const restored = await expectSame(log, copy, Buffer.from(log.head.root).toString('hex'))
    // What the dump brought is a log like any other: it can be backed up, and its whole tree is recomputed by that.
    const { manifest } = await backupLog({ address: copy, dir: join(directory.path, 'again') })
    expect(manifest.head.position).toBe(BigInt(restored.length))
  })
})
