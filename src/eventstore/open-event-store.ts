import type pg from 'pg'
import { FencedError, InvalidAppendError, LogUnavailableError } from './append-errors.ts'
import { checkAppend } from './append-request.ts'
import { AsOfFloor } from './as-of-floor.ts'
import { Batch } from './batch.ts'
import { BlobReads } from './blob-reads.ts'
import type { CommitParticipant } from './commit-participant.ts'
import { CommitPlan } from './commit-plan.ts'
import { ClockWatch } from './clock-watch.ts'
import { CommitSender } from './commit-sender.ts'
import { CommitWriter } from './commit-writer.ts'
import { Erasures } from './erasures.ts'
import { CommitListeners, EventStore, type EventStoreParts } from './event-store.ts'
import { openPool } from './connection-pool.ts'
import {
  type ClockJump,
  defaultLimits,
  type EventStoreLimits,
  type FenceInfo,
  type LogAlarm,
  type WriterHolder,
} from './event-store-options.ts'
import { WriterLive } from './live-log.ts'
import { ensureLog, readHead } from './log-genesis.ts'
import { LogNames } from './log-names.ts'
import { ensureLogRoles, writerRole } from './log-roles.ts'
import type { LogRow } from './log-origin.ts'
import { LogReads } from './log-reads.ts'
import { migrate } from './migrate.ts'
import { Partitions } from './partitions.ts'
import type { PostgresAddress } from './postgres-address.ts'
import { clientConfig } from './postgres-client.ts'
import { postgresFailure } from './postgres-failure.ts'
import { openedWrites, thisProcess } from './opened-by.ts'
import type { LogHead, StreamWrite } from './recorded-event.ts'
import { RecentReads } from './recent-reads.ts'
import { RequestBook } from './request-book.ts'
import { RequestPruner } from './request-pruner.ts'
import { Stager } from './stager.ts'
import { StateMemos } from './state-memos.ts'
import { readTree, type TileProgress } from './read-tree.ts'
import type { TreeFront } from './tree-front.ts'
import { WriterSession } from './writer-session.ts'

/** How to open the log as its writer. */
export interface EventStoreOptions {
  readonly address: PostgresAddress
  /** UUID of the host whose log this is; another host's log is refused. Unless told whatever the log says, a new one for a new log. */
  readonly hostId?: string
  /** Who a second opener is told of; this process unless told. */
  readonly holder?: WriterHolder
  /** The events of the fence commit, expected revision `any`; at least one event. One `LogOpened` in stream `log-<log id>` unless told. */
  readonly fence?: (info: FenceInfo) => readonly StreamWrite[]
  /**
   * `own`: roles of their own for the writer, who then may add to the log and not change it, and for readers; they are made on the server. Where the
   * database's role may not make any, everything else goes on: see `rolesProblem` of the store.
   * `owner`, unless told: the writer has all the rights of the database's role, and only triggers keep it from changing the log.
   */
  readonly roles?: 'own' | 'owner'
  readonly participants?: readonly CommitParticipant[]
  readonly limits?: Partial<EventStoreLimits>
  /** Wall clock, microseconds since 1970. */
  readonly nowUs?: () => bigint
  readonly onAlarm?: (alarm: LogAlarm) => void
  /** Hears how far the tiles of a log are that an earlier version wrote without them: they are made once, from all of its events. */
  readonly onTreeProgress?: (progress: TileProgress) => void
  /** Milliseconds that never step back, beside `nowUs`. */
  readonly monotonicMs?: () => number
  /** Hears that the wall clock was set: who owns the log appends an event of it. Stamps go on increasing all the same. */
  readonly onClockJump?: (jump: ClockJump) => void
  readonly signal?: AbortSignal
}

const poolConnections = 8
/** More would be in each other's way: a server's process takes some milliseconds of a processor. */
const warmConnections = 2
// The longest single query is the comparison of a whole read model in a replay check.
const readTimeoutMs = 600_000
const maxFenceTries = 20

/**
 * Opens the log as its one writer: lock, schema, fence commit, and only then everything that is remembered of it. Throws WriterBusyError
 * where another process holds it, SchemaTooNewError, LogCorruptError, or what a participant throws at its `open`.
 */
export async function openEventStore(options: EventStoreOptions): Promise<EventStore> {
  const opening = new Opening(options)
  const cut = () => opening.cut()
  options.signal?.addEventListener('abort', cut, { once: true })
  try {
    return await opening.run()
  } catch (error) {
    await opening.abandon()
    throw error
  } finally {
    options.signal?.removeEventListener('abort', cut)
  }
}

interface Fencing {
  readonly partitions: Partitions
  /** Up to when former writers gave answers. */
  readonly asOfUs: bigint
  readonly log: LogRow
  /** The last commit as it was read with the lock held; a dying writer may have one more in flight. */
  readonly first: LogHead
}

interface Fenced {
  readonly head: LogHead
  readonly tree: TreeFront
}

class Opening {
  readonly #options: EventStoreOptions
  readonly #limits: EventStoreLimits
  readonly #nowUs: () => bigint
  readonly #alarm: (alarm: LogAlarm) => void
  readonly #holder: WriterHolder
  readonly #stop = new AbortController()
  readonly #signal: AbortSignal
  readonly #pool: pg.Pool
  readonly #session: WriterSession
  readonly #live: WriterLive
  readonly #recent: RecentReads
  readonly #reads: LogReads
  readonly #names: LogNames
  readonly #memos: StateMemos
  readonly #requests: RequestBook
  readonly #blobs: BlobReads
  readonly #erasures: Erasures
  readonly #participants: readonly CommitParticipant[]
  #writer: CommitWriter | null = null

  constructor(options: EventStoreOptions) {
    this.#options = options
    this.#limits = { ...defaultLimits, ...options.limits }
    this.#nowUs = options.nowUs ?? (() => BigInt(Date.now()) * 1000n)
    this.#alarm = options.onAlarm ?? (() => undefined)
    this.#holder = options.holder ?? thisProcess()
    this.#signal = AbortSignal.any([this.#stop.signal, ...(options.signal === undefined ? [] : [options.signal])])
    this.#pool = openPool({
      ...clientConfig(options.address, 'chronovisor reader'),
      max: poolConnections,
      query_timeout: readTimeoutMs,
    })
    const onLost = (error: Error) => this.#writer?.connectionLost(error)
    this.#session = new WriterSession({ address: options.address, holder: this.#holder, onLost })
    this.#live = new WriterLive(this.#limits)
    const isWriter = () => this.#writer !== null && this.#writer.refusal === null
    this.#recent = new RecentReads(this.#live.ring, isWriter)
    this.#reads = new LogReads(this.#pool, { live: this.#live, recent: this.#recent })
    this.#names = new LogNames(this.#pool, this.#limits)
    this.#memos = new StateMemos(this.#reads, this.#limits)
    this.#requests = new RequestBook(this.#pool, this.#limits)
    this.#blobs = new BlobReads(this.#pool, { cachedBytes: this.#limits.cachedBlobBytes })
    this.#erasures = new Erasures((erased) => {
      this.#live.ring.restart(this.#live.ring.next)
      for (const { texts } of erased) for (const text of texts) this.#blobs.forget(text)
    })
    this.#participants = [...(options.participants ?? []), this.#erasures]
  }

  async run(): Promise<EventStore> {
    const { options, limits } = { options: this.#options, limits: this.#limits }
    this.#warmPool()
    await this.#session.open({ lockWaitMs: limits.lockWaitMs, signal: this.#signal })
    await migrate(this.#session.client)
    const asOfUs = await this.#session.recordHolder()
    const wanted = { hostId: options.hostId ?? null, nowUs: this.#nowUs(), partitionEvents: limits.partitionEvents }
    const log = await ensureLog(this.#session.client, wanted)
    const rolesProblem = options.roles === 'own' ? await this.#useRoles() : null
    const before = await readHead(this.#session.client)
    const from = { nextPosition: before.position + 1n, size: log.partitionEvents, alarm: this.#alarm }
    const partitions = new Partitions(this.#pool, from)
    const { head, tree } = await this.#fence({ partitions, asOfUs, log, first: before })
    this.#live.ring.restart(head.position + 1n)
    const { writer, store } = this.#assemble({ head, tree, log, rolesProblem }, partitions)
    const positionAt = (timeUs: bigint) => store.positionAt(timeUs)
    const exclusively = <T>(action: () => Promise<T>) => writer.exclusively(action)
    const context = { pool: this.#pool, head, reader: this.#reads, positionAt, exclusively, signal: this.#signal }
    const openParticipants = async (): Promise<void> => {
      for (const participant of this.#participants) await participant.open(context)
    }
    await Promise.all([this.#requests.open(), openParticipants()])
    await partitions.settled()
    this.#writer = writer
    if (!this.#session.isConnected) writer.connectionLost(new Error('PostgreSQL closed the connection'))
    return store
  }

  /** The server makes a process for each connection: some are made while the writer's own is, since all else waits for that. */
  #warmPool(): void {
    for (let made = 0; made < warmConnections; made += 1) {
      // Who uses it first hears why there is none.
      this.#pool.connect().then(
        (client) => client.release(),
        () => undefined,
      )
    }
  }

  /** The writer lays down the rights that it has no use for. */
  async #useRoles(): Promise<string | null> {
    const why = await ensureLogRoles(this.#session.client)
    if (why === null) await this.#session.changeRole(writerRole)
    return why
  }

  /** Ends whatever the opening waits for on its own connection. */
  cut(): void {
    this.#session.drop()
  }

  /** Gives everything back after a failure. */
  async abandon(): Promise<void> {
    this.#stop.abort(new Error('The event store could not be opened'))
    await this.#reads.close()
    await this.#session.close()
    await this.#pool.end().catch(() => undefined)
  }

  /** The first commit: waits for whatever a dying writer still has in flight, and where that wins, starts again after it. */
  async #fence({ partitions, asOfUs, log, first }: Fencing): Promise<Fenced> {
    const { onTreeProgress, fence = () => openedWrites(log, this.#holder) } = this.#options
    const onProgress = onTreeProgress === undefined ? {} : { onProgress: onTreeProgress }
    for (let tries = 1; ; tries += 1) {
      const before = tries === 1 ? first : await readHead(this.#session.client)
      const [tree] = await Promise.all([
        readTree(this.#session.client, { head: before, reader: this.#reads, ...onProgress }),
        this.#names.open(),
      ])
      const now = this.#nowUs()
      const floor = asOfUs > before.recordedAtUs ? asOfUs : before.recordedAtUs
      const recordedAtUs = now > floor ? now : floor + 1n
      const epoch = before.epoch + 1
      const batch = new Batch(before, { names: this.#names, memos: this.#memos, recordedAtUs, epoch })
      const writes = fence({ epoch, firstStart: before.position === -1n })
      const append = checkAppend(writes, this.#limits)
      if (append.eventCount === 0) throw new InvalidAppendError('Cannot open the log: the fence commit has no event')
      await batch.loadNames([append])
      batch.take(batch.number(append), append)
      const plan = new CommitPlan(batch, { before, tree })
      await partitions.ensure(plan.lastPosition)
      try {
        const own = this.#participants.flatMap((participant) => participant.fence(before))
        await this.#session.commit(() => plan.parts(() => own), { timeoutMs: this.#limits.commitTimeoutMs })
        plan.remember(this.#names)
        partitions.prepareAfter(plan.head.position)
        return { head: plan.head, tree: plan.tree }
      } catch (error) {
        if (postgresFailure(error) !== 'conflict' || tries >= maxFenceTries) throw openFailure(error, this.#nowUs())
      }
    }
  }

  #assemble(
    { head, tree, log, rolesProblem }: Fenced & Pick<EventStoreParts, 'log' | 'rolesProblem'>,
    partitions: Partitions,
  ): { readonly writer: CommitWriter; readonly store: EventStore } {
    const { limits, alarm, nowUs, stop, requests } = {
      limits: this.#limits,
      alarm: this.#alarm,
      nowUs: this.#watchedClock(),
      stop: this.#stop,
      requests: this.#requests,
    }
    const listeners = new CommitListeners(alarm)
    const session = this.#session
    const participants = this.#participants
    const memos = this.#memos
    const writer = new CommitWriter({
      sender: new CommitSender({ session, limits, nowUs, alarm, signal: stop.signal }),
      stager: new Stager({ participants, memos, reads: this.#reads, requests, limits, nowUs, alarm }),
      names: this.#names,
      publish: (commit) => {
        this.#live.ring.push(commit.events)
        listeners.publish(commit)
      },
      recent: this.#recent,
      epoch: head.epoch,
      ...{ memos, requests, partitions, participants, limits, nowUs, alarm, head, tree },
    })
    const pruner = new RequestPruner(this.#pool, { limits, nowUs, signal: stop.signal })
    const settled = async () => {
      await partitions.settled()
      await pruner.settled()
    }
    const store = new EventStore({
      writer,
      session,
      reads: this.#reads,
      pool: this.#pool,
      limits,
      nowUs,
      listeners,
      settled,
      stop,
      asOf: new AsOfFloor(this.#pool, session.token),
      log,
      rolesProblem,
      blobs: this.#blobs,
      erasures: this.#erasures,
    })
    return { writer, store }
  }

  /** The wall clock; who wants to hear that it jumps has it looked at. */
  #watchedClock(): () => bigint {
    const { onClockJump: onJump, monotonicMs = () => performance.now() } = this.#options
    if (onJump === undefined) return this.#nowUs
    const { clockJumpMs } = this.#limits
    const watch = new ClockWatch({ nowUs: this.#nowUs, monotonicMs, clockJumpMs, onJump })
    this.#stop.signal.addEventListener('abort', () => watch.stop(), { once: true })
    return () => watch.look()
  }
}

function openFailure(error: unknown, nowUs: bigint): unknown {
  switch (postgresFailure(error)) {
    case 'conflict':
      return new FencedError('Cannot open the log: somebody else keeps writing to it', { cause: error })
    case 'lost':
    case 'refused':
      return new LogUnavailableError(nowUs, error instanceof Error ? error.message : String(error), { cause: error })
    case 'poison':
      return error
  }
}
