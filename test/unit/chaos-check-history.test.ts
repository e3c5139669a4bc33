import { describe, expect, test } from 'vitest'
import { checkHistory } from '../chaos/check-history.ts'
import { type FindingKind, Findings } from '../chaos/findings.ts'
import type { ChaosHistory, ConsumedEvent, LoggedCommit, LoggedEvent, Operation, Told } from '../chaos/history.ts'
import { SeededRandom } from '../chaos/seeded-random.ts'

const unknown: Told = { kind: 'unknown', reason: 'the connection broke' }

/** "position stream revision commit": an event whose other parts follow from its position. */
function logged(place: string, values: Partial<LoggedEvent> = {}): LoggedEvent {
  const [position = '', stream = '', revision = '', commitNo = ''] = place.split(' ')
  const name = `event-${position}`
  const numbers = { position: BigInt(position), revision: BigInt(revision), commitNo: BigInt(commitNo) }
  return { ...numbers, stream, eventId: name, key: name, value: null, digest: name, blob: null, ...values }
}

interface Asked {
  readonly expected: 'any' | 'no_stream' | 'stream_exists' | bigint
  readonly events: readonly LoggedEvent[]
  readonly ticks: readonly [number, number]
}

/** An append of these events, one write for each stream, acknowledged as they stand. */
function appended(id: string, { expected, events, ticks }: Asked): Operation {
  const writes = [...new Set(events.map(({ stream }) => stream))].map((stream) => ({
    stream,
    expected,
    events: events
      .filter((event) => event.stream === stream)
      .map(({ eventId, key, digest }) => ({ eventId, key: key ?? '', digest })),
  }))
  const commitNo = events[0]?.commitNo ?? 0n
  const told: Told = { kind: 'acknowledged', commitNo, head: { commitNo, root: `root-${commitNo}` }, places: events }
  return { id, kind: 'test', writes, startTick: ticks[0], endTick: ticks[1], tries: 1, told }
}

function commitsOf(events: readonly LoggedEvent[]): readonly LoggedCommit[] {
  const genesis = { commitNo: 0n, firstPosition: 0n, lastPosition: -1n, recordedAtUs: 1_000n, epoch: 0 }
  const numbers = [...new Set(events.map(({ commitNo }) => commitNo))]
  const commits = numbers.map((commitNo) => {
    const own = events.filter((event) => event.commitNo === commitNo)
    const range = { firstPosition: own[0]?.position ?? 0n, lastPosition: own.at(-1)?.position ?? 0n }
    return { commitNo, ...range, recordedAtUs: 1_000n + commitNo, epoch: 1 }
  })
  return [genesis, ...commits].map((commit) => {
    const root = `root-${commit.commitNo}`
    return { ...commit, root, computedRoot: root }
  })
}

function consumed({ position, eventId }: LoggedEvent): ConsumedEvent {
  return { position, eventId }
}

const events = [
  logged('0 account-a 0 1'),
  logged('1 account-a 1 2'),
  logged('2 account-b 0 2'),
  logged('3 counter-1 0 3', { value: 1 }),
  logged('4 counter-1 1 4', { value: 2 }),
  logged('5 account-b 1 5', { blob: 'abc' }),
]

const operations = {
  first: appended('first', { expected: 'no_stream', events: events.slice(0, 1), ticks: [1, 4] }),
  both: appended('both', { expected: 'any', events: events.slice(1, 3), ticks: [5, 8] }),
  one: appended('one', { expected: 'no_stream', events: events.slice(3, 4), ticks: [6, 9] }),
  two: appended('two', { expected: 0n, events: events.slice(4, 5), ticks: [10, 12] }),
  perhaps: { ...appended('perhaps', { expected: 'any', events: events.slice(5), ticks: [13, 20] }), told: unknown },
  gone: {
    ...appended('gone', { expected: 'any', events: [logged('8 account-a 2 8')], ticks: [16, 30] }),
    told: unknown,
  },
  stale: {
    ...appended('stale', { expected: 0n, events: [logged('9 account-a 1 9')], ticks: [14, 15] }),
    told: refusedAt('account-a', 1n),
  },
}

function refusedAt(stream: string, current: bigint | null): Told {
  return { kind: 'refused', reason: 'WrongExpectedRevisionError', wrongRevision: { stream, current } }
}

/** A history in which everything is right. */
const right: ChaosHistory = {
  operations: Object.values(operations),
  revisions: [{ stream: 'account-a', revision: 1n, startTick: 9 }],
  moments: [
    { timeUs: 1_002n, position: 2n },
    { timeUs: 2_000n, position: 5n },
    { timeUs: 10n, position: -1n },
  ],
  log: { events, commits: commitsOf(events), blobs: new Set(['abc']) },
  consumers: [
    { name: 'all', prefix: '', rows: events.map(consumed) },
    { name: 'counters', prefix: 'counter-', rows: events.slice(3, 5).map(consumed) },
  ],
}

function kindsFound(history: ChaosHistory): readonly FindingKind[] {
  const findings = new Findings()
  checkHistory(history, findings)
  return [...findings.counts.keys()].toSorted()
}

function withOperation(operation: Partial<Operation> & { readonly id: keyof typeof operations }): ChaosHistory {
  const changed = { ...operations[operation.id], ...operation }
  return { ...right, operations: right.operations.map((one) => (one.id === operation.id ? changed : one)) }
}

/** The table as it would be with these events, its commits and consumers with it. */
function withEvents(changed: readonly LoggedEvent[]): ChaosHistory {
  const consumers = right.consumers.map((consumer) => ({
    ...consumer,
    rows: changed.filter(({ stream }) => stream.startsWith(consumer.prefix)).map(consumed),
  }))
  return { ...right, moments: [], consumers, log: { ...right.log, events: changed, commits: commitsOf(changed) } }
}

function withEvent(position: number, values: Partial<LoggedEvent>): ChaosHistory {
  return withEvents(events.map((event, at) => (at === position ? { ...event, ...values } : event)))
}

function withCommit(number: number, values: Partial<LoggedCommit>): ChaosHistory {
  const commits = commitsOf(events).map((commit, at) => (at === number ? { ...commit, ...values } : commit))
  return { ...right, moments: [], log: { ...right.log, commits } }
}

function withRows(change: (rows: readonly ConsumedEvent[]) => readonly ConsumedEvent[]): ChaosHistory {
  const [all, ...others] = right.consumers
  return { ...right, consumers: [{ name: 'all', prefix: '', rows: change(all?.rows ?? []) }, ...others] }
}

const lastTwo = events.slice(4).map(consumed)

describe('checkHistory()', () => {
  test('finds nothing in a history in which everything is right', () => {
    expect(kindsFound(right)).toEqual([])
  })

  const wrong: readonly { readonly what: string; readonly history: ChaosHistory; readonly finds: FindingKind }[] = [
    { what: 'an acknowledged event that is gone from the end', history: withEvents(events.slice(0, 4)), finds: 'lost' },
    { what: 'an acknowledged event with other data', history: withEvent(0, { digest: 'other' }), finds: 'lost' },
    { what: 'a big text that is gone', history: { ...right, log: { ...right.log, blobs: new Set() } }, finds: 'lost' },
    {
      what: 'a commit that ends after the last event',
      history: withCommit(5, { lastPosition: 6n }),
      finds: 'lost',
    },
    {
      what: 'an event twice under its id',
      history: withEvents([...events, logged('6 account-b 2 6', { eventId: 'event-5', key: 'event-5' })]),
      finds: 'duplicated',
    },
    {
      what: 'an event twice under another id, as a blind retry makes it',
      history: withEvents([...events, logged('6 account-b 2 6', { key: 'event-1' })]),
      finds: 'duplicated',
    },
    {
      what: 'a gap in positions',
      history: withEvents(events.map((event) => (event.position < 5n ? event : { ...event, position: 6n }))),
      finds: 'reordered',
    },
    { what: 'a gap in revisions', history: withEvent(5, { revision: 2n }), finds: 'reordered' },
    {
      what: 'an event at another position than was told',
      history: withOperation({ id: 'first', told: { ...acknowledged('first'), places: [logged('3 account-a 0 1')] } }),
      finds: 'reordered',
    },
    {
      what: 'an append that stands before one that was acknowledged before it began',
      history: withOperation({ id: 'both', startTick: 13, endTick: 14 }),
      finds: 'reordered',
    },
    { what: 'a part of an append of unknown outcome', history: withOperation(halfPerhaps()), finds: 'torn' },
    { what: 'an atomic append in two commits', history: withEvents(splitAppend()), finds: 'torn' },
    { what: 'an event that lies in another commit than it says', history: inWrongCommit(), finds: 'torn' },
    {
      what: 'an exact append that stands elsewhere',
      history: withOperation({ id: 'two', writes: [{ stream: 'counter-1', expected: 5n, events: askedOf('two') }] }),
      finds: 'revision',
    },
    {
      what: 'a first event of a stream that should have existed',
      history: withOperation({
        id: 'first',
        writes: [{ stream: 'account-a', expected: 'stream_exists', events: askedOf('first') }],
      }),
      finds: 'revision',
    },
    {
      what: 'a refusal without cause',
      history: withOperation({ id: 'stale', told: refusedAt('account-a', 0n), startTick: 2 }),
      finds: 'revision',
    },
    {
      what: 'a refusal by a state that was past',
      history: withOperation({ id: 'stale', told: refusedAt('account-a', null) }),
      finds: 'stale',
    },
    { what: 'a lost update', history: withEvent(4, { value: 1 }), finds: 'update' },
    {
      what: 'a refused append that is there',
      history: withOperation({ id: 'perhaps', told: { kind: 'refused', reason: 'LogBusyError', wrongRevision: null } }),
      finds: 'ghost',
    },
    {
      what: 'an event that nobody asked for',
      history: withEvents([...events, logged('6 account-b 2 6')]),
      finds: 'ghost',
    },
    { what: 'stamps that do not increase', history: withCommit(3, { recordedAtUs: 1_002n }), finds: 'stamp' },
    {
      what: 'an as-of answer that changed',
      history: { ...right, moments: [{ timeUs: 1_003n, position: 2n }] },
      finds: 'stamp',
    },
    {
      what: 'a root that does not follow from the events',
      history: withCommit(4, { computedRoot: 'x' }),
      finds: 'root',
    },
    {
      what: 'a head that was told and is not in the table',
      history: withOperation({ id: 'one', told: { ...acknowledged('one'), head: { commitNo: 3n, root: 'x' } } }),
      finds: 'root',
    },
    { what: 'an epoch that goes back', history: withCommit(5, { epoch: 0 }), finds: 'writer' },
    {
      what: 'a read that misses what was acknowledged before',
      history: { ...right, revisions: [{ stream: 'account-a', revision: 0n, startTick: 9 }] },
      finds: 'stale',
    },
    {
      what: 'an event that a consumer was never given',
      history: withRows((rows) => rows.toSpliced(2, 1)),
      finds: 'missing',
    },
    { what: 'a delivery that came twice', history: withRows((rows) => [...rows, ...lastTwo]), finds: 'redelivered' },
    { what: 'deliveries in another order', history: withRows((rows) => rows.toReversed()), finds: 'redelivered' },
    {
      what: 'a delivery of what is not in the log',
      history: withRows((rows) => [...rows, { position: 6n, eventId: 'event-6' }]),
      finds: 'ghost',
    },
    {
      what: 'a delivery to a consumer that does not take it',
      history: {
        ...right,
        consumers: [{ name: 'counters', prefix: 'counter-', rows: events.slice(2, 5).map(consumed) }],
      },
      finds: 'ghost',
    },
  ]

  test.each(wrong)('finds $what', ({ history, finds }) => {
    expect(kindsFound(history)).toContain(finds)
  })
})

function acknowledged(id: keyof typeof operations): Extract<Told, { kind: 'acknowledged' }> {
  const { told } = operations[id]
  if (told.kind !== 'acknowledged') throw new Error(`"${id}" was not acknowledged`)
  return told
}

function askedOf(id: keyof typeof operations) {
  return operations[id].writes[0]?.events ?? []
}

/** An append of unknown outcome of which only one of two events is there. */
function halfPerhaps() {
  const another = { eventId: 'event-7', key: 'event-7', digest: 'event-7' }
  return {
    id: 'perhaps' as const,
    writes: [{ stream: 'account-b', expected: 'any' as const, events: [...askedOf('perhaps'), another] }],
  }
}

/** The append `both` in two commits, everything after it one commit later. */
function splitAppend(): readonly LoggedEvent[] {
  return events.map((event) => (event.position < 2n ? event : { ...event, commitNo: event.commitNo + 1n }))
}

function inWrongCommit(): ChaosHistory {
  const moved = events.map((event) => (event.position === 5n ? { ...event, commitNo: 4n } : event))
  return { ...right, moments: [], log: { ...right.log, events: moved } }
}

describe('SeededRandom', () => {
  test('gives the same numbers for the same seed and part, others for another', () => {
    const numbers = (seed: number, part: string) => {
      const random = new SeededRandom(seed, part)
      return Array.from({ length: 5 }, () => random.between(0, 1_000_000))
    }
    expect(numbers(7, 'a')).toEqual(numbers(7, 'a'))
    expect(numbers(7, 'a')).not.toEqual(numbers(8, 'a'))
    expect(numbers(7, 'a')).not.toEqual(numbers(7, 'b'))
  })

  test('uuidV7() holds the time and the version', () => {
    const uuid = new SeededRandom(1, 'x').uuidV7(0x0123_4567_89ab)
    expect(uuid).toMatch(/^01234567-89ab-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })
})
