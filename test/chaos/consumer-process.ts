// A consumer in a process of its own: reads the log and writes down what it was given.
import { setTimeout as sleep } from 'node:timers/promises'
import { type LogReaderHandle, openLogReader } from '../../src/eventstore/open-log-reader.ts'
import { consume } from './consumer.ts'
import { Journal } from './journal.ts'
import { subscriptionSource } from './own-sources.ts'
import { endWithParent, parseConsumerOptions } from './process-options.ts'
import { consumeEmmett } from './rival-emmett.ts'
import { messageDbSource } from './rival-message-db.ts'
import type { ConsumerSource } from './served-store.ts'

endWithParent()
const options = parseConsumerOptions(process.argv[2])
const { name, prefix, feed, address, output } = options

async function openPatiently(): Promise<LogReaderHandle> {
  for (;;) {
    try {
      return await openLogReader(feed === null ? { address } : { address, feed })
    } catch {
      await sleep(100) // the server is away
    }
  }
}

async function follow(source: ConsumerSource): Promise<void> {
  const isApart = options.broken === 'position-apart'
  await consume({ name, prefix, output, source, isApart, signal: new AbortController().signal })
}

switch (options.target) {
  case 'ours':
    await follow(subscriptionSource(await openPatiently()))
    break
  case 'message-db':
    await follow(messageDbSource(address))
    break
  case 'emmett': {
    // It keeps its own position; whatever breaks in it, a new process goes on from there.
    process.on('uncaughtException', () => process.exit(0)).on('unhandledRejection', () => process.exit(0))
    await using journal = await Journal.open(output, { consumer: name })
    const peersDirectory = options.peersDirectory ?? ''
    await consumeEmmett({ address, peersDirectory, name }, (event) => journal.add([event]))
    process.exit(0)
  }
}
