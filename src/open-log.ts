import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { backingChains } from '../projections/backing-chains.ts'
import { blockJobs } from '../projections/block-jobs.ts'
import { claims } from '../projections/claims.ts'
import { domainDefinitions, domainDefinitionsTable } from '../projections/domain-definitions.ts'
import { domainStates, domainStatesTable } from '../projections/domain-states.ts'
import { emulators } from '../projections/emulators.ts'
import { openIntents } from '../projections/open-intents.ts'
import { snapshots } from '../projections/snapshots.ts'
import { ClockJumps } from './clock-jumps.ts'
import { daemonContext } from './commands/daemon-caller.ts'
import type { LiveRows } from './commands/live-reads.ts'
import { metadataOf, newEvent } from './commands/record.ts'
import type { Texts } from './commands/texts.ts'
import type { Hypervisor } from './compose-driver.ts'
import type { Config } from './config.ts'
import { daemonVersion } from './daemon-file.ts'
import { newFact } from './events/catalogue.ts'
import { encodeMetadata } from './events/metadata.ts'
import { nodeStream } from './events/stream-names.ts'
import type { LogAlarm } from './eventstore/event-store-options.ts'
import type { EventStore } from './eventstore/event-store.ts'
import { CheckpointKeeper } from './eventstore/checkpoint-keeper.ts'
import { logOrigin } from './eventstore/log-origin.ts'
import { openEventStore } from './eventstore/open-event-store.ts'
import { openSigningKey } from './eventstore/signing-key.ts'
import { checkpointPath } from './last-checkpoint.ts'
import { liveRows } from './live-rows.ts'
import type { Database } from './open-database.ts'
import type { CatchUpProgress } from './readmodel/catch-up.ts'
import { ReadModels } from './readmodel/read-models.ts'
import { systemClock } from './util/clock.ts'
import { uuidV7 } from './util/uuid-v7.ts'

/** Every projection of the daemon. */
export const projections = [
  backingChains,
  blockJobs,
  claims,
  domainDefinitions,
  domainStates,
  emulators,
  openIntents,
  snapshots,
]

/** The open log with everything that is read from it. Disposing it closes the store. */
export interface OpenLog extends AsyncDisposable {
  readonly store: EventStore
  readonly rows: LiveRows
  readonly hostId: string
  /** Resolves when another writer has the log: this process must stop acting. */
  readonly fenced: Promise<Error>
  /** Calls back each time the log can be written again after it was away. */
  onAvailable(listener: () => void): void
  readonly models: ReadModels
  /** Signs checkpoints; null where that is not possible, which was said in the daemon's own log. */
  readonly checkpoints: CheckpointKeeper | null
  /** Brings the texts of all current definitions into memory. */
  loadTexts(texts: Texts): Promise<void>
}

/** Becomes the writer of the log: lock, fence commit (`DaemonStarted`), read models. */
export async function openLog(parts: {
  readonly config: Config
  readonly database: Database
  readonly hypervisor: Hypervisor
  readonly logger: Logger
}): Promise<OpenLog> {
  const { config, database, hypervisor, logger } = parts
  const hostId = hostIdOf(config, hypervisor)
  const alarms = new Alarms(logger)
  const rebuilding = new RebuildNotes(logger)
  const models = new ReadModels({
    projections,
    onAlarm: (alarm) => alarms.take(alarm),
    onProgress: (progress) => {
      if (progress.position < progress.target) rebuilding.tell(progress)
    },
    onNote: (text) => logger.warn(text),
  })
  const jumps = new ClockJumps(hostId, logger)
  const store = await openEventStore({
    address: database.address,
    hostId,
    holder: { pid: process.pid, startedAtUs: systemClock.nowUs(), host: hypervisor.machine.hostname() },
    fence: () => [{ stream: nodeStream(hostId), expectedRevision: 'any', events: [startEvent(hostId, hypervisor)] }],
    participants: [models],
    roles: 'own',
    onAlarm: (alarm) => alarms.take(alarm),
    onClockJump: (jump) => jumps.take(jump),
    onTreeProgress: (progress) =>
      logger.info({ ...progress }, 'Making the tiles of a log that an earlier version wrote'),
  })
  jumps.attach(store)
  if (store.rolesProblem !== null) logger.warn(`The writer has more rights than it needs: ${store.rolesProblem}`)
  const { view } = models
  const checkpoints = keepCheckpoints(store, { config, logger })
  return {
    store,
    hostId,
    checkpoints,
    fenced: alarms.fenced,
    onAvailable: (listener) => alarms.onAvailable(listener),
    rows: liveRows({ view }),
    models,
    async loadTexts(texts) {
      const definitions = [...view.rows(domainDefinitionsTable).all()].map((row) => row.definition_sha256)
      const live = [...view.rows(domainStatesTable).all()].flatMap((row) =>
        row.live_definition_sha256 === '' ? [] : [row.live_definition_sha256],
      )
      await texts.load([...new Set([...definitions, ...live])])
    },
    async [Symbol.asyncDispose]() {
      await models.close()
      await checkpoints?.[Symbol.asyncDispose]()
      await store.close()
    },
  }
}

/** Signs what the log is, from now to its end. What stands in the way is said, and holds nothing else up: nobody waits for it. */
function keepCheckpoints(
  store: EventStore,
  { config, logger }: { readonly config: Config; readonly logger: Logger },
): CheckpointKeeper | null {
  const onProblem = (error: Error) => logger.error({ err: error }, 'No checkpoint of the log was signed')
  try {
    return CheckpointKeeper.begin({
      store,
      signer: openSigningKey(join(config.stateDir, 'log-signing-key'), logOrigin(store.log)),
      anchorPath: checkpointPath(config.stateDir),
      everyEvents: config.checkpointEvents,
      everyMs: config.checkpointMinutes * 60_000,
      onProblem,
    })
  } catch (error) {
    onProblem(error instanceof Error ? error : new Error(String(error)))
    return null
  }
}

/** Says now and then how far a rebuild is, and how long it may take yet. */
class RebuildNotes {
  readonly #logger: Logger
  #started: { readonly atMs: number; readonly position: bigint; readonly what: string } | null = null
  #saidAtMs = 0

  constructor(logger: Logger) {
    this.#logger = logger
  }

  tell({ projections: names, position, target }: CatchUpProgress): void {
    const nowMs = performance.now()
    const what = names.join(', ')
    if (this.#started?.what !== what || position < this.#started.position) {
      this.#started = { atMs: nowMs, position, what }
    }
    if (nowMs - this.#saidAtMs < noteMs) return
    this.#saidAtMs = nowMs
    const rate = Number(position - this.#started.position) / (nowMs - this.#started.atMs)
    const secondsLeft = rate > 0 ? Math.ceil(Number(target - position) / rate / 1_000) : null
    this.#logger.info({ projections: what, position, target, secondsLeft }, 'Rebuilding read models')
  }
}

const noteMs = 1_000

function startEvent(hostId: string, { driver, machine, processes }: Hypervisor) {
  const self = processes.find(process.pid)
  const started = newFact('DaemonStarted', {
    pid: process.pid,
    startTicks: self?.startTicks ?? 0n,
    bootId: processes.bootId(),
    hostname: machine.hostname(),
    daemonVersion: daemonVersion(),
    driver: driver.kind,
  })
  const meta = encodeMetadata(metadataOf({ hostId, clock: systemClock }, daemonContext('START')))
  return newEvent(started, { eventId: uuidV7(), meta })
}

/** The host's UUID: what its firmware says, else a random one; kept beside the log, since a log belongs to one host for ever. */
function hostIdOf(config: Config, { machine }: Hypervisor): string {
  const file = join(config.stateDir, 'host-id')
  if (existsSync(file)) return readFileSync(file, 'utf8').trim()
  const id = machine.uuid() ?? randomUUID()
  writeFileSync(file, `${id}\n`, { mode: 0o644 })
  return id
}

/** What the store and the read models report, sorted into words for people and turns of events for the daemon. */
class Alarms {
  readonly fenced: Promise<Error>
  readonly #logger: Logger
  readonly #listeners: (() => void)[] = []
  readonly #fence: (error: Error) => void

  constructor(logger: Logger) {
    const { promise, resolve } = Promise.withResolvers<Error>()
    this.fenced = promise
    this.#fence = resolve
    this.#logger = logger
  }

  onAvailable(listener: () => void): void {
    this.#listeners.push(listener)
  }

  take(alarm: LogAlarm): void {
    const details = alarm.error === undefined ? {} : { err: alarm.error }
    switch (alarm.kind) {
      case 'available':
        this.#logger.info(details, alarm.text)
        for (const listener of this.#listeners) listener()
        return
      case 'fenced':
        this.#fence(alarm.error ?? new Error(alarm.text))
        return
      case 'unavailable':
      case 'quarantined':
      case 'listener-failed':
      case 'partition-failed':
      case 'projection-failed':
        this.#logger.error(details, alarm.text)
    }
  }
}
