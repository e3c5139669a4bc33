import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { describe, expect, test } from 'vitest'
import { openGivenPostgres } from '../../src/eventstore/given-postgres.ts'
import { startDebianPostgres } from '../support/debian-postgres.ts'
import { requireTool } from '../support/require-tool.ts'

/** One message of the PostgreSQL protocol: type, length, body. */
function message(type: string, body: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length + 4)
  return Buffer.concat([Buffer.from(type), length, body])
}

/** A server that lets everybody in and answers every query with one text: its version. */
async function startServerOfVersion(version: string): Promise<Server & AsyncDisposable> {
  const ready = message('Z', Buffer.from('I'))
  // One column: name, no table, no attribute, type text (25), size -1, modifier -1, format text.
  const column = Buffer.from('00000000 0000 00000019 ffff ffffffff 0000'.replaceAll(' ', ''), 'hex')
  const field = Buffer.concat([Buffer.from([0, 1]), Buffer.from('server_version\0'), column])
  const value = Buffer.concat([Buffer.from([0, 1, 0, 0, 0, version.length]), Buffer.from(version)])
  const answer = [message('T', field), message('D', value), message('C', Buffer.from('SHOW\0')), ready]
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (data) => {
      const isQuery = data[0] === 'Q'.charCodeAt(0)
      socket.write(isQuery ? Buffer.concat(answer) : Buffer.concat([message('R', Buffer.alloc(4)), ready]))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

describe('openGivenPostgres()', () => {
  test.skipIf(!requireTool('postgresql-15'))('accepts the distribution’s PostgreSQL 15 or newer', async () => {
    using given = startDebianPostgres()
    const { connection, serverVersion } = await openGivenPostgres(given.url)
    expect(connection).toEqual({ connectionString: given.url })
    expect(Number.parseInt(serverVersion, 10)).toBe(given.major)
  })

  test.each(['14.11 (Debian 14.11-1)', '9.6.24'])(
    'refuses version %s, naming the server without its password',
    async (version) => {
      await using server = await startServerOfVersion(version)
      const address = server.address()
      const port = typeof address === 'object' ? address?.port : 0
      const refused = openGivenPostgres(`postgres://u:secret@127.0.0.1:${port}/log`)
      await expect(refused).rejects.toThrow(
        `Cannot use the database postgres://u:***@127.0.0.1:${port}/log: it is PostgreSQL "${version}", the event log needs 15 or newer`,
      )
    },
  )

  test('says that nobody listens there', async () => {
    await expect(openGivenPostgres('postgres://u:secret@127.0.0.1:1/log')).rejects.toThrow(
      /u:\*\*\*@127\.0\.0\.1:1.*ECONNREFUSED/,
    )
  })

  test.each(['mysql://u@h/d', 'not a url', 'http://h'])('refuses %s as no PostgreSQL URL', async (url) => {
    await expect(openGivenPostgres(url)).rejects.toThrow('it must read postgres://user@host:port/database')
  })
})
