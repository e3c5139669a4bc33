import { setImmediate as nextTurn } from 'node:timers/promises'
import { type BegunStart, beginStart } from './begin-start.ts'
import { blockInfo } from './commands/block-info.ts'
import { commandService } from './commands/command-service.ts'
import type { Reach } from './commands/crash-points.ts'
import { daemonContext } from './commands/daemon-caller.ts'
import type { Host, Log } from './commands/host.ts'
import { projectionControl } from './commands/projection-control.ts'
import { liveDefinition, nextDefinition } from './commands/live-definition.ts'
import { logControl } from './commands/log-control.ts'
import { LiveTexts } from './commands/read-texts.ts'
import { reconcileAll, reconcileUnsettled } from './commands/reconcile.ts'
import { record } from './commands/record.ts'
import { composeDriver, type Hypervisor } from './compose-driver.ts'
import { composeGrpc } from './compose-grpc.ts'
import { composeHost } from './compose-host.ts'
import { composeLogFeed } from './compose-log-feed.ts'
import { composeMetrics, type ServedMetrics } from './compose-metrics.ts'
import type { Config } from './config.ts'
import { connectionFacts, describeHost } from './describe-host.ts'
import { newFact } from './events/catalogue.ts'
import { nodeStream } from './events/stream-names.ts'
import { localHostFiles } from './host/host-files.ts'
import { readThreadMonitors } from './host/read-thread-monitors.ts'
import { observeHost } from './observe-host.ts'
import type { Database } from './open-database.ts'
import { type OpenLog, openLog } from './open-log.ts'
import type { GrpcServer } from './grpc/grpc-server.ts'
import { autostart } from './reactors/autostart.ts'
import { followDriverFacts } from './reactors/driver-facts.ts'
import { JobProgress } from './reactors/job-progress.ts'
import { createDispatcher } from './rpc/all-handlers.ts'
import { DomainCallbackSource } from './rpc/domain-callback-source.ts'
import { RpcServer } from './rpc/rpc-server.ts'
import { Sampler } from './sampling/sampler.ts'
import { serverSockets, writeDaemonFile } from './daemon-file.ts'
import { systemTimers } from './util/timers.ts'
import { factsOf, followFact } from './watch-commits.ts'
import type { Logger } from 'pino'

/** What only tests may put in the place of a part: nothing of it can be reached from the command line. */
export interface Seams {
  readonly reach?: Reach
  wrapHypervisor?(hypervisor: Hypervisor): Hypervisor
  wrapLog?(log: Log): Log
}

/** Between two attempts to settle what could not be settled, in milliseconds. */
const retryMs = 2_000

/** A running daemon. */
export interface Daemon {
  /** One line each, for people: what runs where, and a command that works as printed. */
  readonly announcement: readonly string[]
  /** Resolves when the daemon must not go on: it lost the log to another writer. */
  readonly fenced: Promise<Error>
  /** Ends in order: sockets, jobs, `DaemonStopped`, database. Domains go on. */
  stop(cause: string): Promise<void>
}

/** What a start may be given. */
export interface StartOptions {
  /** The beginning of this start, if it was made already; owned by the daemon from here on. */
  readonly begun?: BegunStart
  readonly seams?: Seams
}

/** Starts a daemon: the lock, the database, the hypervisor, the log, reconciliation, and only then the sockets. */
export async function startDaemon(config: Config, logger: Logger, options: StartOptions = {}): Promise<Daemon> {
  const { seams = {} } = options
  const messages = { info: (text: string) => logger.info(text), warn: (text: string) => logger.warn(text) }
  await using opened = new AsyncDisposableStack()
  const begun = opened.use(options.begun ?? (await beginStart(config, messages)))
  const composed = await composeDriver(config)
  const hypervisor = seams.wrapHypervisor?.(composed) ?? composed
  const database = await begun.database.ready()
  const log = opened.use(await openLog({ config, database, hypervisor, logger }))
  const feed = opened.use(await composeLogFeed({ config, log, logger }))
  const grpc = opened.use(await composeGrpc({ config, log, logger }))
  const metrics = opened.use(await composeMetrics({ config, log, feed, logger }))
  const daemon = new RunningDaemon({ config, logger, hypervisor, database, log, grpc, metrics, seams })
  await daemon.start()
  daemon.keep(opened.move())
  return daemon
}

interface Parts {
  readonly config: Config
  readonly logger: Logger
  readonly hypervisor: Hypervisor
  readonly database: Database
  readonly log: OpenLog
  readonly grpc: GrpcServer | null
  readonly metrics: ServedMetrics | null
  readonly seams: Seams
}

class RunningDaemon implements Daemon {
  readonly fenced: Promise<Error>
  readonly #parts: Parts
  readonly #host: Host
  readonly #runner: ReturnType<typeof composeHost>['runner']
  readonly #sampler: Sampler
  readonly #progress: JobProgress
  readonly #server: RpcServer
  readonly #stopping = new AbortController()
  #reactors: Promise<void> = Promise.resolve()
  #settling: Promise<void> = Promise.resolve()
  #afterStart: Promise<void> = Promise.resolve()
  #settlesNow = false
  #retry: NodeJS.Timeout | null = null
  #opened: AsyncDisposableStack | null = null

  constructor(parts: Parts) {
    const { config, logger, hypervisor, log, seams } = parts
    this.#parts = parts
    this.fenced = log.fenced
    const { driver, images, machine } = hypervisor
    const store = seams.wrapLog?.(log.store) ?? log.store
    const { host, runner } = composeHost({
      hostId: log.hostId,
      config,
      log: store,
      rows: log.rows,
      driver,
      images,
      notes: logger,
      ...(seams.reach === undefined ? {} : { reach: seams.reach }),
    })
    this.#host = host
    this.#runner = runner
    this.#sampler = new Sampler({ driver, timers: systemTimers })
    this.#progress = new JobProgress(host)
    this.#server = new RpcServer({
      backend: {
        driver: driver.kind,
        reads: host.reads,
        texts: new LiveTexts(host, () => describeHost(log.hostId, hypervisor)),
        commands: commandService(host),
        replayCheck: async () => await log.models.replayCheck(),
        projections: projectionControl(host, log.models),
        log: logControl(host, {
          store: log.store,
          models: log.models,
          checkpoints: log.checkpoints,
        }),
        host: connectionFacts(host, machine),
        domains: {
          definition: (domain, { inactive }) =>
            inactive ? nextDefinition(host, domain) : liveDefinition(host, domain),
          sample: (uuid) => this.#sampler.latest(uuid)?.sample ?? null,
          monitors: ({ run }) => (run === null ? [] : readThreadMonitors(localHostFiles, run.pid)),
          blockInfo: (domain, disk) => blockInfo(host, domain, disk),
          jobProgress: (jobId) => progressOf(this.#progress, jobId),
        },
      },
      dispatcher: createDispatcher(),
      sockets: serverSockets(config),
      log: {
        internalError: (error, procedure) =>
          logger.error({ err: error, procedure }, 'A call failed by a fault of the daemon'),
        connectionLost: (reason, peer) =>
          logger.debug({ reason, pid: peer.pid, program: peer.program }, 'A connection ended'),
      },
    })
  }

  get announcement(): readonly string[] {
    const { config, database, hypervisor, grpc, metrics } = this.#parts
    const sockets = serverSockets(config)
    const uri = hypervisor.driver.kind === 'qemu' ? 'qemu+unix:///system' : 'test+unix:///default'
    return [
      `chronovisor runs (process ${process.pid})`,
      `  log       ${database.description}`,
      `  domains   ${hypervisor.description}`,
      `  sockets   ${sockets.map((socket) => socket.path).join(', ')}`,
      ...(grpc === null ? [] : [`  grpc      ${grpc.target}`]),
      ...(metrics === null ? [] : [`  metrics   ${metrics.target}`]),
      `  try       virsh -c '${uri}?socket=${sockets[0]?.path ?? ''}' list --all`,
      '  history   chronovisor log',
    ]
  }

  /** Takes over what must be closed at the end. */
  keep(opened: AsyncDisposableStack): void {
    this.#opened = opened
  }

  async start(): Promise<void> {
    const { config, logger, hypervisor, database, log, grpc, metrics } = this.#parts
    this.#listen()
    await log.loadTexts(this.#host.texts)
    await reconcileAll(this.#host)
    for (const run of this.#host.reads.running()) this.#sampler.start(run.domain_uuid)
    this.#progress.wake()
    log.onAvailable(() => this.#settle(reconcileAll))
    this.#retry = setInterval(() => {
      if (this.#host.unsettled.size > 0 && !this.#settlesNow) this.#settle(reconcileUnsettled)
    }, retryMs)
    this.#retry.unref()
    await this.#server.listen()
    writeDaemonFile({
      config,
      database: database.address,
      driver: hypervisor.driver.kind,
      grpc: grpc?.target ?? null,
      metrics: metrics?.target ?? null,
    })
    this.#afterStart = this.#afterReady().catch((error: unknown) =>
      logger.error({ err: error }, 'The work after the start failed'),
    )
  }

  async stop(cause: string): Promise<void> {
    const { logger, hypervisor, log } = this.#parts
    await this.#server.close({ graceMs: 5_000 })
    this.#stopping.abort()
    if (this.#retry !== null) clearInterval(this.#retry)
    await this.#afterStart
    await this.#reactors
    await this.#settling
    await this.#progress[Symbol.asyncDispose]()
    await this.#sampler[Symbol.asyncDispose]()
    await hypervisor.driver.detach()
    await this.#host.refusals.flush()
    try {
      await record(this.#host, daemonContext('STOP'), {
        kind: 'fact',
        decide: () => [
          { stream: nodeStream(log.hostId), facts: [newFact('DaemonStopped', { pid: process.pid, cause })] },
        ],
      })
    } catch (error) {
      logger.error({ err: error }, 'The end of the daemon could not be recorded')
    }
    await this.#opened?.disposeAsync()
  }

  /** Everyone who follows the log, in order; the hypervisor's own facts are taken from here on. */
  #listen(): void {
    const callbacks = new DomainCallbackSource(this.#host.reads)
    this.#parts.log.store.afterCommit((commit) => {
      for (const fact of factsOf(commit)) {
        for (const callback of callbacks.callbacksOf(fact)) this.#server.publish(callback)
        followFact(fact, { host: this.#host, sampler: this.#sampler, progress: this.#progress })
      }
    })
    this.#reactors = followDriverFacts(this.#host, this.#runner, this.#stopping.signal)
  }

  /** What was done while the log was away is settled when it is back, what failed is tried again; one round at a time. */
  #settle(reconcile: (host: Host) => Promise<void>): void {
    this.#settling = this.#settling.then(async () => {
      this.#settlesNow = true
      if (!this.#stopping.signal.aborted) await reconcile(this.#host)
      this.#settlesNow = false
    })
  }

  /** What no client waits for: observations for audits, and domains that start with the host. */
  async #afterReady(): Promise<void> {
    await nextTurn()
    this.#parts.log.models.follow()
    await observeHost(this.#host, this.#parts.hypervisor)
    await autostart(this.#host, { bootId: this.#parts.hypervisor.processes.bootId(), signal: this.#stopping.signal })
  }
}

function progressOf(progress: JobProgress, jobId: string) {
  const heard = progress.of(jobId)
  return heard === null ? null : { currentBytes: heard.currentBytes, totalBytes: heard.totalBytes }
}
