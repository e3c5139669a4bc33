import type { LogIndex } from './check-history.ts'
import type { Findings } from './findings.ts'
import type { AskedWrite, ChaosHistory, Claims, LoggedEvent, Operation, Told } from './history.ts'

interface Check {
  readonly index: LogIndex
  readonly findings: Findings
  readonly claims: Claims
}

/** Compares what each client was told with the table: acknowledged stands as told, refused left nothing, unknown is all or nothing. */
export function checkOperations({ operations, log }: ChaosHistory, check: Check): void {
  const asked = new Set<string>()
  const roots = new Map((log.commits ?? []).map((commit) => [commit.commitNo, commit.root]))
  for (const operation of operations) {
    for (const write of operation.writes) for (const event of write.events) asked.add(event.eventId)
    const { told } = operation
    switch (told.kind) {
      case 'acknowledged':
        checkAcknowledged(operation, told, check)
        checkToldHead(told, { roots, findings: check.findings })
        break
      case 'refused':
        checkRefused(operation, told, check)
        break
      case 'unknown':
        checkUnknown(operation, check)
        break
    }
  }
  for (const { eventId, key, position, blob } of log.events) {
    if (blob !== null && !log.blobs.has(blob))
      check.findings.add('lost', `the big text ${blob} that position ${position} names is not there`)
    if (key !== null && !asked.has(eventId))
      check.findings.add('ghost', `nobody asked for the event ${eventId} (${key}) at position ${position}`)
  }
}

type Acknowledged = Extract<Told, { readonly kind: 'acknowledged' }>

function checkAcknowledged(operation: Operation, told: Acknowledged, check: Check): void {
  const { index, findings } = check
  const events = operation.writes.flatMap((write) => write.events)
  const found: LoggedEvent[] = []
  for (const [at, asked] of events.entries()) {
    const logged = index.byId.get(asked.eventId)
    const place = told.places[at]
    if (logged === undefined) {
      findings.add('lost', `${asked.key} of ${operation.id} was acknowledged at position ${place?.position ?? 'none'}`)
      continue
    }
    found.push(logged)
    const asTold =
      place !== undefined &&
      (place.position === null || place.position === logged.position) &&
      place.revision === logged.revision &&
      place.stream === logged.stream
    if (!asTold)
      findings.add(
        'reordered',
        `${asked.key} of ${operation.id} stands at ${placeText(logged)}, told was ${placeText(place)}`,
      )
    if (check.claims.exactBytes && asked.digest !== null && asked.digest !== logged.digest)
      findings.add('lost', `${asked.key} of ${operation.id} has other data than was appended`)
  }
  if (found.length === events.length) checkWhole({ operation, told }, found, check)
}

/** All events stand together in one commit, and each write where its expected revision says. */
function checkWhole(
  { operation, told }: { readonly operation: Operation; readonly told: Acknowledged },
  found: readonly LoggedEvent[],
  { findings, claims, index }: Check,
): void {
  const [first] = found
  if (first === undefined) return
  const isTogether = found.every(
    ({ commitNo, position }, at) =>
      commitNo === (told.commitNo ?? first.commitNo) &&
      (!claims.densePositions || position === first.position + BigInt(at)),
  )
  if (!isTogether) findings.add('torn', `the events of ${operation.id} do not stand together in one commit`)
  const before = new Map<string, bigint>()
  for (const write of operation.writes) {
    const logged = write.events.map(({ eventId }) => index.byId.get(eventId))
    const start = logged[0]?.revision
    if (start === undefined) continue
    if (!honours(write, { start, claims }))
      findings.add('revision', `${operation.id} expected ${write.expected} of "${write.stream}" and stands at ${start}`)
    const previous = before.get(write.stream)
    const isDense = logged.every((event, at) => event?.revision === start + BigInt(at))
    if (!isDense || (previous !== undefined && start !== previous + 1n))
      findings.add('torn', `the events of ${operation.id} are not one run in stream "${write.stream}"`)
    before.set(write.stream, start + BigInt(write.events.length - 1))
  }
}

function honours(
  { expected }: AskedWrite,
  { start, claims }: { readonly start: bigint; readonly claims: Claims },
): boolean {
  switch (expected) {
    case 'any':
      return true
    case 'no_stream':
      return start === claims.firstRevision
    case 'stream_exists':
      return start > claims.firstRevision
    default:
      return start === expected + 1n
  }
}

function checkToldHead(
  told: Acknowledged,
  { roots, findings }: { readonly roots: ReadonlyMap<bigint, string>; readonly findings: Findings },
): void {
  if (told.head === null) return
  const { commitNo, root } = told.head
  const logged = roots.get(commitNo)
  if (logged !== root)
    findings.add(
      'root',
      `the log was said to end with commit ${commitNo} and root ${root}, the table has ${logged ?? 'none'}`,
    )
}

function checkRefused(operation: Operation, told: Extract<Told, { kind: 'refused' }>, check: Check): void {
  for (const { eventId, key } of operation.writes.flatMap((write) => write.events)) {
    const logged = check.index.byId.get(eventId)
    if (logged !== undefined)
      check.findings.add(
        'ghost',
        `${key} of ${operation.id} was refused (${told.reason}) and stands at ${logged.position}`,
      )
  }
  if (told.wrongRevision === null) return
  const { stream, current } = told.wrongRevision
  const writes = operation.writes.filter((write) => write.stream === stream)
  const mayFit = writes.every(({ expected }) =>
    current === null ? expected === 'no_stream' : expected === 'stream_exists' || expected === current,
  )
  // Two writes to one stream: the second is judged on the first.
  if (writes.length === 1 && mayFit)
    check.findings.add(
      'revision',
      `${operation.id} was refused though "${stream}" was at the expected ${current ?? 'nothing'}`,
    )
}

function checkUnknown(operation: Operation, { index, findings }: Check): void {
  const events = operation.writes.flatMap((write) => write.events)
  const found = events.map(({ eventId }) => index.byId.get(eventId)).filter((event) => event !== undefined)
  if (found.length === 0) return
  const commits = new Set(found.map(({ commitNo }) => commitNo))
  if (found.length !== events.length || commits.size !== 1)
    findings.add(
      'torn',
      `of ${operation.id}, whose outcome is unknown, ${found.length} of ${events.length} events are there`,
    )
}

function placeText(
  place: { readonly stream: string; readonly revision: bigint; readonly position: bigint | null } | undefined,
): string {
  return place === undefined
    ? 'nothing'
    : `${place.position ?? 'a position not told'} (${place.stream} ${place.revision})`
}
