// A consumer in a process of its own: reads the log and writes down what it was given.
import { setTimeout as sleep } from 'node:timers/promises'
import { type LogReaderHandle, openLogReader } from '../../src/eventstore/open-log-reader.ts'
import { consume } from './consumer.ts'
import { subscriptionSource } from './own-sources.ts'
import { endWithParent, parseConsumerOptions } from './process-options.ts'

endWithParent()
const { name, prefix, feed, address, output, broken } = parseConsumerOptions(process.argv[2])

async function openPatiently(): Promise<LogReaderHandle> {
  for (;;) {
    try {
      return await openLogReader(feed === null ? { address } : { address, feed })
    } catch {
      await sleep(100) // the server is away
    }
  }
}

const log = await openPatiently()
await consume({
  name,
  prefix,
  output,
  source: subscriptionSource(log),
  isApart: broken === 'position-apart',
  signal: new AbortController().signal,
})
