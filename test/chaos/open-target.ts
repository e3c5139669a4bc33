import { LogFeed } from '../../src/eventstore/log-feed.ts'
import { openEventStore } from '../../src/eventstore/open-event-store.ts'
import { newEvent, testHostId, write } from '../support/log-kit.ts'
import { OwnStore } from './own-store.ts'
import { sequenceSource, subscriptionSource } from './own-sources.ts'
import type { WriterOptions } from './process-options.ts'
import { openEmmett } from './rival-emmett.ts'
import { openMessageDb } from './rival-message-db.ts'
import type { ConsumerSource, ServedStore } from './served-store.ts'
import { StagedEvents } from './staged-events.ts'

/** A store that is open for writing, and where a consumer in the same process gets its events from. */
export interface OpenTarget {
  readonly store: ServedStore
  readonly source: ConsumerSource | null
}

/** Opens the store that a run is aimed at. */
export async function openTarget(options: WriterOptions, onFenced: (text: string) => void): Promise<OpenTarget> {
  switch (options.target) {
    case 'ours':
      return openOwn(options, onFenced)
    case 'emmett':
      return { store: await openEmmett(options.address, options.peersDirectory ?? ''), source: null }
    case 'message-db':
      return { store: await openMessageDb(options.address, options.peersDirectory ?? ''), source: null }
  }
}

const commitTimeoutMs = 1_500

async function openOwn(options: WriterOptions, onFenced: (text: string) => void): Promise<OpenTarget> {
  const { address, broken, feed, lockWaitMs, inDoubtWaitMs, partitionEvents } = options
  const staged = new StagedEvents()
  const clock = { offsetUs: options.clockOffsetUs }
  const nowUs = () => BigInt(Date.now()) * 1_000n + clock.offsetUs
  const store = await openEventStore({
    address,
    hostId: testHostId,
    holder: { pid: process.pid, startedAtUs: nowUs(), host: 'chaos' },
    fence: ({ epoch }) => [write('chaos-writer', [newEvent('DaemonStarted', { epoch })])],
    nowUs,
    participants: broken === 'early-ack' || broken === 'trusts-sequence' ? [staged] : [],
    limits: {
      lockWaitMs,
      commitTimeoutMs,
      inDoubtWaitMs: broken === 'blind-retry' ? 1 : inDoubtWaitMs,
      partitionEvents,
    },
    onAlarm: ({ kind, text }) => {
      if (kind === 'fenced') onFenced(text)
    },
  })
  // A stopped writer that is about to be replaced may still sit on the socket: readers then look by themselves.
  if (feed !== null) await LogFeed.serve({ path: feed, mode: 0o600, log: store }).catch(() => undefined)
  const setClock = (offsetUs: bigint) => {
    clock.offsetUs = offsetUs
  }
  return {
    store: new OwnStore({ store, nowUs, setClock, broken, staged }),
    source: broken === 'trusts-sequence' ? sequenceSource(store, staged) : subscriptionSource(store),
  }
}
