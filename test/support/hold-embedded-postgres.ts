// A stand-in for the daemon: opens the embedded server in the directory given, prints its process number, and stays.
import { join } from 'node:path'
import { openEmbeddedPostgres } from '../../src/eventstore/embedded-postgres.ts'

const [stateDir = ''] = process.argv.slice(2)
const log = { info: () => undefined, warn: () => undefined }
const server = await openEmbeddedPostgres({ stateDir, socketDir: join(stateDir, 'run'), log })
process.stdout.write(`${server.pid}\n`)
setInterval(() => undefined, 60_000)
