import { setImmediate as nextRound } from 'node:timers/promises'
import { FencedError, InvalidAppendError, LogClosedError, LogUnavailableError } from './append-errors.ts'
import { AppendAnswers } from './append-answers.ts'
import { AppendQueue } from './append-queue.ts'
import { Batch } from './batch.ts'
import type { CommitParticipant, CommitStatement } from './commit-participant.ts'
import { CommitPlan } from './commit-plan.ts'
import type { CommitSender, Outcome } from './commit-sender.ts'
import type { Commit, EventStoreLimits, LogAlarm } from './event-store-options.ts'
import type { Amount } from './event-store-stats.ts'
import type { LogNames } from './log-names.ts'
import type { Partitions } from './partitions.ts'
import { messageOf } from './postgres-failure.ts'
import type { RecentReads } from './recent-reads.ts'
import type { LogHead } from './recorded-event.ts'
import type { RequestBook } from './request-book.ts'
import type { AppendRequest, StagedAppend, Stager } from './stager.ts'
import type { StateMemos } from './state-memos.ts'
import { withTimeLimit } from './time-limit.ts'
import type { TreeFront } from './tree-front.ts'
import type { WriterStats } from './writer-stats.ts'

/** What the writer works with. */
export interface CommitWriterParts {
  readonly sender: CommitSender
  readonly names: LogNames
  readonly memos: StateMemos
  readonly stager: Stager
  readonly requests: RequestBook
  readonly partitions: Partitions
  readonly participants: readonly CommitParticipant[]
  readonly limits: EventStoreLimits
  readonly nowUs: () => bigint
  readonly alarm: (alarm: LogAlarm) => void
  /** Is told of each commit after the participants and before the callers. */
  readonly publish: (commit: Commit) => void
  /** Is told which commit is under way. */
  readonly recent: RecentReads
  readonly epoch: number
  readonly head: LogHead
  readonly tree: TreeFront
}

/**
 * The commit turn: one batch at a time. What waits is staged in order, sent as one transaction, and on success swapped into memory before
 * anybody is told; on failure the overlay is dropped and nobody has seen it.
 */
export class CommitWriter {
  readonly #parts: CommitWriterParts
  readonly #queue: AppendQueue
  readonly #replies = new AppendAnswers()
  #head: LogHead
  #tree: TreeFront
  #work: Promise<void> | null = null
  #refusal: FencedError | LogClosedError | null = null
  readonly #turnWaiters: (() => void)[] = []
  readonly #pauses: Pause[] = []
  /** What there is to tell of the last commit, to listeners and callers. */
  readonly #answers: (() => void)[] = []
  #asOfFloorUs = 0n
  #stampUs: bigint | null = null

  constructor(parts: CommitWriterParts) {
    this.#parts = parts
    this.#queue = new AppendQueue(parts.limits)
    this.#head = parts.head
    this.#tree = parts.tree
  }

  get head(): LogHead {
    return this.#head
  }

  /** The tree up to the head. */
  get tree(): TreeFront {
    return this.#tree
  }

  /** Requests that wait for a later turn. */
  get queued(): Amount {
    return { count: this.#queue.length, bytes: this.#queue.bytes }
  }

  /** Why nothing can be appended now; null where it can. */
  get refusal(): Error | null {
    return this.#refusal ?? this.#parts.sender.unavailable
  }

  /** What was done since the log was opened. */
  get stats(): WriterStats {
    return this.#replies.stats
  }

  /** Queues an append; it is settled once its batch is. Throws where it can be refused at once. */
  submit(request: AppendRequest): void {
    const refusal = this.#refusal ?? this.#parts.sender.unavailable
    if (refusal !== null) throw refusal
    this.#queue.add(request)
    this.#wake()
  }

  /** Takes a request back; false where its turn has come. */
  withdraw(request: AppendRequest): boolean {
    return this.#queue.withdraw(request)
  }

  /**
   * Runs an action in a turn of its own: no commit is under way, and none begins before it has ended. Appends wait meanwhile, so it must
   * be short, with limits of its own.
   */
  exclusively<T>(action: () => Promise<T>): Promise<T> {
    const refusal = this.#refusal ?? this.#parts.sender.unavailable
    if (refusal !== null) return Promise.reject(refusal)
    return new Promise((resolve, reject) => {
      this.#pauses.push({ run: () => action().then(resolve, reject), reject })
      this.#wake()
    })
  }

  /** The connection broke by itself. Where a commit is under way, that finds out on its own. */
  connectionLost(error: Error): void {
    if (this.#work !== null || this.#refusal !== null) return
    this.#work = this.#recover(error).finally(() => this.#rest())
  }

  /**
   * Promises that the answer for a time will not change: no later commit is stamped at or before it. Waits for a commit under way that
   * may be. Throws where the time has not come yet.
   */
  async holdAsOf(timeUs: bigint): Promise<void> {
    if (timeUs > this.#parts.nowUs()) {
      throw new InvalidAppendError(`Cannot look at ${timeUs} microseconds since 1970: that time has not come yet`)
    }
    if (timeUs > this.#asOfFloorUs) this.#asOfFloorUs = timeUs
    while (this.#stampUs !== null && this.#stampUs <= timeUs) {
      if (this.#parts.sender.unavailable !== null) throw this.#parts.sender.unavailable
      await new Promise<void>((resolve) => this.#turnWaiters.push(resolve))
    }
  }

  /** Refuses what comes from now on and waits for what is queued, at most so long. */
  async close({ drainMs }: { readonly drainMs: number }): Promise<void> {
    this.#refusal ??= new LogClosedError()
    const drained = (async () => {
      while (this.#work !== null) await this.#work
    })()
    let timer: NodeJS.Timeout | undefined
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, drainMs)
    })
    await Promise.race([drained, limit])
    clearTimeout(timer)
    this.#refuseQueue(this.#refusal)
  }

  #endTurn(): void {
    for (const waiter of this.#turnWaiters.splice(0)) waiter()
  }

  #wake(): void {
    if (this.#work !== null) return
    this.#work = this.#run()
      .catch((error: unknown) => this.#fence(error instanceof Error ? error : new Error(messageOf(error))))
      .finally(() => this.#rest())
  }

  #rest(): void {
    this.#work = null
    const { sender } = this.#parts
    if (this.#queue.length + this.#pauses.length > 0 && sender.unavailable === null) this.#wake()
    else if (!sender.isConnected && sender.unavailable === null) this.connectionLost(new Error('The connection broke'))
  }

  async #run(): Promise<void> {
    await new Promise<void>((resolve) => process.nextTick(resolve)) // what is appended in the same tick shares the commit
    while (this.#queue.length + this.#pauses.length > 0 && !(this.#refusal instanceof FencedError)) {
      const pause = this.#pauses.shift()
      if (pause !== undefined) {
        this.#answer()
        await pause.run()
        continue
      }
      this.#stampUs = this.#nextStamp()
      try {
        await this.#turn(this.#stampUs)
      } finally {
        this.#stampUs = null
        this.#endTurn()
      }
    }
    this.#answer()
  }

  #nextStamp(): bigint {
    const floor = this.#asOfFloorUs > this.#head.recordedAtUs ? this.#asOfFloorUs : this.#head.recordedAtUs
    const now = this.#parts.nowUs()
    return now > floor ? now : floor + 1n
  }

  async #turn(recordedAtUs: bigint): Promise<void> {
    const { names, memos, epoch } = this.#parts
    const batch = new Batch(this.#head, { names, memos, recordedAtUs, epoch })
    const staged = await this.#fill(batch)
    if (batch.events.length === 0) {
      this.#answer()
      this.#replies.resolve(staged, this.#head)
      await nextRound() // whoever is refused and asks again at once must not keep everybody else out
      return
    }
    let plan: CommitPlan
    let outcome: Outcome
    try {
      plan = new CommitPlan(batch, { before: this.#head, tree: this.#tree })
      await this.#ensurePartitions(plan.lastPosition)
      const sentMs = performance.now()
      const sending = this.#send(plan, staged)
      this.#answer() // the database works meanwhile
      this.#parts.recent.sent(batch)
      outcome = await sending
      if (outcome.kind === 'committed') this.#replies.stats.commit(batch.events.length, performance.now() - sentMs)
    } catch (error) {
      this.#parts.recent.settled(batch)
      this.#drop(staged, new LogUnavailableError(this.#parts.nowUs(), messageOf(error), { cause: error }))
      return
    }
    this.#conclude({ outcome, plan, batch, staged })
  }

  #send(plan: CommitPlan, staged: readonly StagedAppend[]): Promise<Outcome> {
    const { participants, sender } = this.#parts
    const giveUp = this.#replies.doubter(staged)
    const left = (error: LogUnavailableError) => {
      this.#parts.recent.left()
      this.#refuseQueue(error)
      this.#replies.takeLate()()
      this.#endTurn()
    }
    let others: readonly CommitStatement[] | null = null
    const ofOthers = () => (others ??= participants.flatMap((participant) => participant.statements()))
    const parts = () => plan.parts(ofOthers)
    return sender.send({ parts, before: this.#head, after: () => plan.head, left, giveUp })
  }

  async #ensurePartitions(position: bigint): Promise<void> {
    const { partitions, limits } = this.#parts
    if (partitions.has(position)) return
    this.#answer()
    await withTimeLimit(partitions.ensure(position), { ms: limits.commitTimeoutMs, what: 'making a partition' })
  }

  /** Stages what waits, not what comes meanwhile, until the batch is full. */
  async #fill(batch: Batch): Promise<readonly StagedAppend[]> {
    const { limits, stager } = this.#parts
    const staged: StagedAppend[] = []
    await this.#whileAnswering(stager.prepare(batch, this.#queue.upTo(limits.batchEvents)))
    let waiting = this.#queue.length
    for (let request = this.#queue.first; request !== undefined && waiting > 0; request = this.#queue.first) {
      waiting -= 1
      if (staged.length > 0 && (request.alone || staged[0]?.request.alone === true)) break
      this.#queue.shift()
      try {
        let staging = stager.stage(batch, request)
        while (staging.kind === 'reading') staging = await this.#whileAnswering(staging.read())
        if (staging.kind === 'full') {
          this.#queue.putBack([request])
          break
        }
        staged.push(staging.append)
      } catch (error) {
        this.#replies.rejectOrLater(request, error, { isBatchEmpty: batch.events.length === 0 })
      }
      if (batch.events.length >= limits.batchEvents || batch.bytes >= limits.batchBytes) break
    }
    return staged
  }

  /** Nobody who has an answer waits for what others need. */
  #whileAnswering<T>(reading: T): T {
    if (reading !== null) this.#answer()
    return reading
  }

  /** Tells listeners and callers of the last commit. */
  #answer(): void {
    for (const answer of this.#answers.splice(0)) answer()
  }

  #conclude({ outcome, plan, batch, staged }: Conclusion): void {
    const { recent } = this.#parts
    if (outcome.kind !== 'committed') recent.settled(batch)
    switch (outcome.kind) {
      case 'committed': {
        this.#orFence(() => this.#committed(plan, batch))
        const tellLate = this.#replies.takeLate()
        this.#answers.push(() => {
          const { commitNo, recordedAtUs } = plan.head
          this.#orFence(() => this.#parts.publish({ commitNo, recordedAtUs, events: batch.events }))
          recent.settled(batch)
          this.#replies.resolve(staged, this.#head)
          tellLate()
        })
        return
      }
      case 'refused':
        return this.#drop(
          staged,
          new LogUnavailableError(this.#parts.nowUs(), outcome.error.message, { cause: outcome.error }),
        )
      case 'unknown':
        return this.#dropParts() // its callers were told
      case 'poison':
        return this.#poisoned(staged, outcome.error)
      case 'conflict':
        this.#fence(outcome.error)
        this.#drop(staged, this.#refusal ?? outcome.error)
    }
  }

  #committed(plan: CommitPlan, batch: Batch): void {
    this.#head = plan.head
    this.#tree = plan.tree
    plan.remember(this.#parts.names)
    this.#parts.requests.committed(batch.requests)
    this.#parts.memos.committed(batch.events)
    for (const participant of this.#parts.participants) participant.committed()
    this.#parts.partitions.prepareAfter(plan.head.position)
  }

  /** What a commit means for memory: where it fails, memory is not what the log says, and nothing more may be decided on it. */
  #orFence(action: () => void): void {
    try {
      action()
    } catch (error) {
      this.#fence(error instanceof Error ? error : new Error(messageOf(error)))
    }
  }

  #drop(staged: readonly StagedAppend[], error: Error): void {
    this.#dropParts()
    for (const { request } of staged) this.#replies.reject(request, error)
  }

  /** The database refused what was to be written: each request goes alone, so that only the one to blame is refused. */
  #poisoned(staged: readonly StagedAppend[], error: Error): void {
    this.#dropParts()
    const [only] = staged
    if (staged.length > 1 || only === undefined) {
      for (const { request } of staged) request.alone = true
      return this.#queue.putBack(staged.map(({ request }) => request))
    }
    const { request } = only
    if (request.kind === 'fact' && request.poison === null) {
      request.poison = error
      return this.#queue.putBack([request])
    }
    this.#replies.reject(
      request,
      new InvalidAppendError(`Cannot append: the database refused it (${error.message})`, { cause: error }),
    )
  }

  #dropParts(): void {
    this.#replies.takeLate()()
    for (const participant of this.#parts.participants) participant.dropped()
  }

  async #recover(reason: Error): Promise<void> {
    try {
      await this.#parts.sender.recover(this.#head, reason)
    } catch (error) {
      if (error instanceof FencedError) this.#fence(error)
    }
  }

  #fence(cause: Error): void {
    const text = `Cannot append: this process is not the log's writer any more (${cause.message})`
    this.#refusal = cause instanceof FencedError ? cause : new FencedError(text, { cause })
    this.#refuseQueue(this.#refusal)
    this.#parts.alarm({ kind: 'fenced', text: this.#refusal.message, error: this.#refusal })
  }

  #refuseQueue(error: Error): void {
    for (const request of this.#queue.clear()) this.#replies.reject(request, error)
    for (const pause of this.#pauses.splice(0)) pause.reject(error)
  }
}

interface Pause {
  run(): Promise<void>
  reject(error: Error): void
}

interface Conclusion {
  readonly outcome: Outcome
  readonly plan: CommitPlan
  readonly batch: Batch
  readonly staged: readonly StagedAppend[]
}
