// A consumer in a process of its own: reads the log and writes down what it was given.
import pg from 'pg'
import { LogReads } from '../../src/eventstore/log-reads.ts'
import { clientConfig } from '../../src/eventstore/postgres-client.ts'
import { consume } from './consumer.ts'
import { subscriptionSource } from './own-sources.ts'
import { endWithParent, parseConsumerOptions } from './process-options.ts'

endWithParent()
const { name, prefix, address, output, broken } = parseConsumerOptions(process.argv[2])
const pool = new pg.Pool({ ...clientConfig(address, 'chronovisor reader'), max: 2 })
pool.on('error', () => undefined)
await consume({
  name,
  prefix,
  output,
  source: subscriptionSource(new LogReads(pool)),
  isApart: broken === 'position-apart',
  signal: new AbortController().signal,
})
