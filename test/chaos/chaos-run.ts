import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { brokenBuilds, type BrokenName } from './broken-builds.ts'
import { capabilities } from './capabilities.ts'
import { ChaosClient } from './client.ts'
import { ChaosCluster } from './chaos-cluster.ts'
import { checkHistory } from './check-history.ts'
import { ConsumerHost } from './consumer-host.ts'
import { type FaultCounts, FaultDriver, type FaultPace } from './fault-driver.ts'
import { Findings } from './findings.ts'
import type { ConsumerOutput, LoggedLog } from './history.ts'
import { makeJournals, readJournals } from './journal.ts'
import { holdTransactionsOpen } from './open-transactions.ts'
import type { TargetName, WriterOptions } from './process-options.ts'
import { Recorder } from './recorder.ts'
import { readTarget } from './read-target.ts'
import { restoreDrill } from './restore-drill.ts'
import { WriterHost } from './writer-host.ts'

/** A run: at what it is aimed, how long, with which choices. */
export interface ChaosOptions {
  readonly seed: number
  readonly durationMs: number
  /** The run goes on until there were so many, though not for ever: a machine under load gets little done in a time. */
  readonly atLeast?: { readonly kills: number; readonly acknowledged: number }
  /** How long consumers may take at the end to deal with all there is. */
  readonly catchUpLimitMs: number
  readonly target: TargetName
  readonly broken: BrokenName | null
  readonly clients: number
  readonly thinkMs: number
  readonly faults: FaultPace
  readonly cuts: FaultPace
  /** Back up and restore into a new cluster at the end. */
  readonly restores: boolean
  readonly onSmallDisk: boolean
  readonly peersDirectory: string | null
  readonly signal: AbortSignal
  /** Hears how the run gets on. */
  readonly say: (line: string) => void
  /** Hears of every fault. */
  readonly trace: (line: string) => void
}

/** What a run was and what was found. */
export interface ChaosResult {
  readonly seed: number
  readonly target: string
  readonly seconds: number
  readonly operations: number
  readonly acknowledged: number
  readonly refused: number
  readonly unknown: number
  readonly retried: number
  readonly looks: number
  readonly moments: number
  readonly events: number
  readonly commits: number | null
  readonly delivered: Readonly<Record<string, number>>
  readonly faults: FaultCounts
  readonly writers: WriterHost['counts']
  readonly transactionsHeld: number
  readonly root: string | null
  readonly restored: string
  readonly findings: Findings
}

const consumerPrefixes = { inside: '', outside: '', counters: 'counter-' } as const
type ConsumerName = keyof typeof consumerPrefixes

const settleLimitMs = 30_000
const longestRunMs = 90_000

/** Runs clients, faults and consumers on a private cluster, lets everything settle, and judges what came of it. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, target, broken, say } = options
  const able = capabilities[target]
  const findings = new Findings()
  const serverSettings = broken === null ? [] : settingsOf(broken)
  await using cluster = await ChaosCluster.start({ settings: serverSettings, onSmallDisk: options.onSmallDisk })
  const names: readonly ConsumerName[] = target === 'ours' ? ['inside', 'outside', 'counters'] : ['outside']
  await makeJournals(cluster.address('output'), names)
  await using writer = new WriterHost({
    directory: cluster.directory,
    options: writerOptions(options, cluster),
    findings,
  })
  writer.start()
  if (!(await writer.serves(settleLimitMs))) throw new Error('Cannot begin: no writer came to serve')
  // Whatever is lost from here on, there is a log to come back to.
  await cluster.server.run('postgres', 'checkpoint')
  await using hosts = new AsyncDisposableStack()
  const consumers = names
    .filter((name) => name !== 'inside')
    .map((name) => hosts.use(new ConsumerHost(consumerOptions(options, { cluster, name }), findings)))
  for (const consumer of consumers) consumer.start()

  const recorder = new Recorder()
  const phases = new Phases(options.signal)
  const { stop, end } = phases
  const trace = (line: string) => options.trace(`${recorder.operations.length} operations; ${line}`)
  const acknowledged = () => recorder.acknowledged
  const driver = new FaultDriver({ cluster, writer, consumers, findings, signal: stop }, { seed, trace, acknowledged })
  const clients = Array.from({ length: options.clients }, (_, number) =>
    new ChaosClient({
      number,
      seed,
      capabilities: able,
      recorder,
      writerPath: () => writer.path,
      thinkMs: options.thinkMs,
    }).run({ stop, end }),
  )
  const begun = performance.now()
  const ending = phases.endAfter(options.durationMs, () => {
    const { kills = 0, acknowledged = 0 } = options.atLeast ?? {}
    return driver.killed >= kills && recorder.acknowledged >= acknowledged
  })
  const faulting = Promise.all([driver.run(able, options.faults), driver.cutConnections(options.cuts)])
  const holding = holdTransactionsOpen(cluster, stop)
  await Promise.all([faulting, ending, ...clients])
  const transactionsHeld = await holding
  const seconds = (performance.now() - begun) / 1_000
  options.signal.throwIfAborted()
  say(`settling after ${recorder.operations.length} operations`)

  await cluster.server.resume()
  if (!(await writer.serves(settleLimitMs))) findings.add('writer', 'no writer came back after the last fault')
  // A rival's consumer that hangs since a fault gets a new start: what it still misses then, it never delivers.
  if (target !== 'ours') for (const { process } of consumers) process?.signal('SIGKILL')
  await consumersCaughtUp(cluster, names, options)
  await writer.stop()
  await hosts.disposeAsync()
  const log = await readTarget(target, cluster.address('log'))
  const outputs = await readOutputs(cluster, names)
  say(`checking ${log.events.length} events`)
  checkHistory({ ...seenBy(recorder), log, consumers: outputs }, findings, able.claims)
  const restored =
    options.restores && target === 'ours' ? await restoreDrill(cluster, { log, findings }) : 'not asked for'
  return {
    seed,
    target: broken === null ? target : `${target}-broken:${broken}`,
    seconds,
    ...counted(recorder),
    events: log.events.length,
    commits: log.commits?.length ?? null,
    delivered: Object.fromEntries(outputs.map(({ name, rows }) => [name, rows.length])),
    faults: driver.counts,
    writers: writer.counts,
    transactionsHeld,
    root: log.commits?.at(-1)?.root ?? null,
    restored,
    findings,
  }
}

/** When clients and faults stop, and when clients stop to ask again what became of what is in doubt. */
class Phases {
  readonly stop: AbortSignal
  readonly end: AbortSignal
  readonly #stopping = new AbortController()
  readonly #ending = new AbortController()

  constructor(signal: AbortSignal) {
    this.stop = AbortSignal.any([signal, this.#stopping.signal])
    this.end = AbortSignal.any([signal, this.#ending.signal])
  }

  /** Lets the run last so long, and longer until enough was done. */
  async endAfter(durationMs: number, isEnough: () => boolean): Promise<void> {
    const begun = performance.now()
    await sleep(durationMs, undefined, { signal: this.stop }).catch(() => undefined)
    while (!this.stop.aborted && !isEnough() && performance.now() - begun < longestRunMs) await sleep(50)
    this.#stopping.abort(new Error('The run is over'))
    setTimeout(() => this.#ending.abort(new Error('The run is over')), settleLimitMs).unref()
  }
}

function settingsOf(broken: BrokenName): readonly string[] {
  const build = brokenBuilds[broken]
  return 'serverSettings' in build ? build.serverSettings : []
}

function writerOptions(options: ChaosOptions, cluster: ChaosCluster): WriterOptions {
  return {
    target: options.target,
    broken: options.broken,
    socketPath: null,
    address: cluster.proxied,
    output: options.target === 'ours' ? cluster.address('output') : null,
    feed: join(cluster.directory, 'feed.sock'),
    clockOffsetUs: 0n,
    inDoubtWaitMs: 700,
    lockWaitMs: 3_000,
    partitionEvents: 1n << 14n,
    peersDirectory: options.peersDirectory,
  }
}

function consumerOptions(options: ChaosOptions, { cluster, name }: { cluster: ChaosCluster; name: ConsumerName }) {
  return {
    target: options.target,
    broken: options.broken,
    name,
    prefix: consumerPrefixes[name],
    // One hears of commits, the other has to look.
    feed: name === 'outside' ? join(cluster.directory, 'feed.sock') : null,
    address: cluster.address('log'),
    output: cluster.address('output'),
    peersDirectory: options.peersDirectory,
  }
}

/** Waits until every consumer has dealt with all there is; who does not get there shows in what it wrote down. */
async function consumersCaughtUp(
  cluster: ChaosCluster,
  names: readonly ConsumerName[],
  options: ChaosOptions,
): Promise<void> {
  const log: LoggedLog = await readTarget(options.target, cluster.address('log'))
  const deadline = performance.now() + options.catchUpLimitMs
  while (performance.now() < deadline) {
    const outputs = await readJournals(cluster.address('output'), names)
    const isDone = names.every((name) => {
      const last = log.events.findLast(({ stream }) => stream.startsWith(consumerPrefixes[name]))
      const { rows, position } = outputs.get(name) ?? { rows: [], position: -1n }
      if (last === undefined) return true
      return options.target === 'ours'
        ? position >= last.position
        : rows.some(({ eventId }) => eventId === last.eventId)
    })
    if (isDone) return
    options.signal.throwIfAborted()
    await sleep(200)
  }
}

async function readOutputs(cluster: ChaosCluster, names: readonly ConsumerName[]): Promise<readonly ConsumerOutput[]> {
  const outputs = await readJournals(cluster.address('output'), names)
  return names.map((name) => ({ name, prefix: consumerPrefixes[name], rows: outputs.get(name)?.rows ?? [] }))
}

function seenBy({ operations, revisions, moments }: Recorder) {
  return { operations, revisions, moments }
}

function counted(recorder: Recorder) {
  return {
    operations: recorder.operations.length,
    acknowledged: recorder.count('acknowledged'),
    refused: recorder.count('refused'),
    unknown: recorder.count('unknown'),
    retried: recorder.operations.filter(({ tries }) => tries > 1).length,
    looks: recorder.revisions.length,
    moments: recorder.moments.length,
  }
}
