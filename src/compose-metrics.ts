import type { Logger } from 'pino'
import type { Config } from './config.ts'
import type { LogFeed } from './eventstore/log-feed.ts'
import { groupIdOf } from './host/group-id.ts'
import { readLastCheckpoint } from './last-checkpoint.ts'
import { readLastVerify } from './last-verify.ts'
import type { MetricsSnapshot, ProjectionLag } from './metrics/metrics-source.ts'
import type { OpenLog } from './open-log.ts'
import { systemClock } from './util/clock.ts'

/** Longest wait for the database in one scrape: what only it knows is left out then. */
const databaseMs = 2_000

/** Metrics that are served; disposing ends that. */
export interface ServedMetrics extends AsyncDisposable {
  /** Where, as `--metrics` takes it; with the port that was chosen. */
  readonly target: string
}

interface MetricsParts {
  readonly config: Config
  readonly log: Pick<OpenLog, 'store' | 'models'>
  readonly feed: LogFeed | null
  readonly logger: Logger
}

/**
 * Serves Prometheus' metrics where the configuration says; null where it says nothing, and then none of its code is loaded. All of it is
 * loaded here: node_modules may vanish while the daemon runs.
 */
export async function composeMetrics(parts: MetricsParts): Promise<ServedMetrics | null> {
  const { config, logger } = parts
  const { metrics: listen } = config
  if (listen === null) return null
  const { MetricsServer } = await import('./metrics/metrics-server.ts')
  const { listenOn } = await import('./grpc/grpc-address.ts')
  const server = new MetricsServer({
    read: async () => await snapshot(parts),
    onProblem: (error) => logger.warn({ err: error }, 'The metrics could not be read'),
  })
  const gid = config.socketGroup === null ? null : groupIdOf(config.socketGroup)
  const access = gid === null ? { mode: 0o600 } : { mode: 0o660, gid }
  await listenOn(server.http, listen.kind === 'unix' ? { ...listen, ...access } : listen, 'metrics')
  const bound = server.http.address()
  const port = typeof bound === 'object' ? (bound?.port ?? 0) : 0
  const host = listen.kind === 'tcp' && listen.host === '::1' ? '[::1]' : '127.0.0.1'
  return {
    target: listen.kind === 'unix' ? `unix:${listen.path}` : `${host}:${port}`,
    [Symbol.asyncDispose]: () => server.close(),
  }
}

async function snapshot({ config, log, feed }: MetricsParts): Promise<MetricsSnapshot> {
  const { stats } = log.store
  return {
    log: stats,
    projections: await Promise.all(log.models.progress().map((progress) => withLagSeconds(log.store, progress))),
    feedReaders: feed?.readers ?? 0,
    checkpoint: readLastCheckpoint(config.stateDir),
    verify: readLastVerify(config.stateDir),
  }
}

type Progress = ReturnType<OpenLog['models']['progress']>[number]

async function withLagSeconds(store: OpenLog['store'], progress: Progress): Promise<ProjectionLag> {
  if (progress.lagEvents === 0n) return { ...progress, lagSeconds: 0 }
  const late = new AbortController()
  const atUs = await Promise.race([
    store.recordedAfter(progress.position).catch(() => null),
    abortedAfter(databaseMs, late.signal),
  ])
  late.abort()
  return { ...progress, lagSeconds: atUs === null ? null : Number(systemClock.nowUs() - atUs) / 1e6 }
}

/** Resolves to null after so long, at once where it is not needed any more. */
function abortedAfter(ms: number, signal: AbortSignal): Promise<null> {
  const { promise, resolve } = Promise.withResolvers<null>()
  const timer = setTimeout(() => resolve(null), ms)
  signal.addEventListener('abort', () => clearTimeout(timer), { once: true })
  return promise
}
