import { setTimeout as sleep } from 'node:timers/promises'
import { LogCorruptError } from '../../src/eventstore/append-errors.ts'
import type { ChaosCluster } from './chaos-cluster.ts'
import type { ConsumerHost } from './consumer-host.ts'
import type { Findings } from './findings.ts'
import type { SeededRandom } from './seeded-random.ts'
import type { WriterHost } from './writer-host.ts'

/** Whom a `kill -9` hits. */
export type Victim = 'writer' | 'server' | 'backend' | 'consumer'

/** What a fault may touch. */
export interface FaultTools {
  readonly random: SeededRandom
  readonly cluster: ChaosCluster
  readonly writer: WriterHost
  readonly consumers: readonly ConsumerHost[]
  readonly signal: AbortSignal
  readonly findings: Findings
  /** Counts a `kill -9` that hit. */
  readonly killed: (victim: Victim) => void
}

/** A fault: how often it is chosen, and what it does until things may heal. */
export interface Fault {
  readonly name: string
  readonly weight: number
  /** Only where one process at a time may write, or on a disk that can be filled. */
  readonly needs?: 'oneWriter' | 'smallDisk' | 'ownExtras'
  act(tools: FaultTools): Promise<void>
}

const hourUs = 3_600_000_000n
const clockOffsetsUs = [hourUs, -hourUs, 24n * hourUs, 2_000_000n, -2_000_000n, -1n, 0n] as const

/** The faults of a run. */
export const faults: readonly Fault[] = [
  { name: 'kill the writer', weight: 22, act: async (tools) => killWriter(tools) },
  { name: 'kill the server', weight: 12, act: killServer },
  { name: 'kill a backend', weight: 8, act: killBackend },
  { name: 'kill a consumer', weight: 18, act: async (tools) => killConsumer(tools) },
  {
    name: 'kill writer and server at once',
    weight: 5,
    act: async (tools) => {
      killWriter(tools)
      await killServer(tools)
    },
  },
  { name: 'kill a writer whose commit is held', weight: 6, needs: 'oneWriter', act: killHeldWriter },
  { name: 'end a backend', weight: 6, act: endBackend },
  { name: 'stop the writer for a while', weight: 4, act: stopWriter },
  { name: 'stop a consumer for a while', weight: 4, act: stopConsumer },
  { name: 'replace a stopped writer', weight: 6, needs: 'oneWriter', act: replaceWriter },
  {
    name: 'another opener',
    weight: 8,
    needs: 'oneWriter',
    act: ({ writer, cluster }) => writer.tryAnother(cluster.address('log')),
  },
  {
    name: 'jump of the clock',
    weight: 10,
    needs: 'ownExtras',
    act: ({ writer, random }) => writer.setClock(random.pick(clockOffsetsUs)),
  },
  { name: 'no connection for a while', weight: 6, act: refuseConnections },
  { name: 'a backup meanwhile', weight: 4, needs: 'ownExtras', act: backUp },
  { name: 'a disk without space', weight: 14, needs: 'smallDisk', act: fillDisk },
]

function killWriter({ writer, killed }: FaultTools): void {
  if (writer.process?.isRunning !== true) return
  writer.process.signal('SIGKILL')
  killed('writer')
}

async function killServer({ cluster, random, killed }: FaultTools): Promise<void> {
  await cluster.server.kill()
  killed('server')
  await sleep(random.between(0, 600))
  await cluster.server.resume()
}

/** PostgreSQL answers the violent end of one backend with a restart of all. */
async function killBackend({ cluster, random, killed }: FaultTools): Promise<void> {
  await cluster.attempt('log', async (client) => {
    const { rows } = await client.query<{ pid: number }>(
      `select pid from pg_stat_activity where datname = 'log' and pid <> pg_backend_pid() order by application_name, pid`,
    )
    if (rows.length === 0) return
    process.kill(random.pick(rows).pid, 'SIGKILL')
    killed('backend')
  })
  await cluster.server.resume()
}

function killConsumer({ consumers, random, killed }: FaultTools): void {
  const victim = random.pick(consumers).process
  if (victim?.isRunning !== true) return
  victim.signal('SIGKILL')
  killed('consumer')
}

/** The commit is with the server and cannot end; its writer dies, the next one comes, and only then may the commit end. */
async function killHeldWriter(tools: FaultTools): Promise<void> {
  await tools.cluster.attempt('log', async (client) => {
    await client.query('begin')
    await client.query('lock table event in share row exclusive mode')
    await sleep(tools.random.between(30, 300))
    killWriter(tools)
    await sleep(tools.random.between(200, 2_500))
    await client.query('rollback')
  })
}

async function endBackend({ cluster, random }: FaultTools): Promise<void> {
  const names = ['chronovisor writer', 'chronovisor reader', 'chaos consumer']
  const name = random.pick(names)
  await cluster.attempt('log', async (client) => {
    await client.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1::text', [
      name,
    ])
  })
}

async function stopWriter({ writer, random }: FaultTools): Promise<void> {
  const stopped = writer.process
  stopped?.signal('SIGSTOP')
  await sleep(random.between(100, 2_500))
  stopped?.signal('SIGCONT')
}

async function stopConsumer({ consumers, random }: FaultTools): Promise<void> {
  const stopped = random.pick(consumers).process
  stopped?.signal('SIGSTOP')
  await sleep(random.between(100, 2_500))
  stopped?.signal('SIGCONT')
}

/** The stopped writer loses its connection while a commit of it may be under way on the server. */
async function replaceWriter({ writer, cluster, random, signal }: FaultTools): Promise<void> {
  const held = random.chance(0.5)
  await cluster.attempt('log', async (client) => {
    if (held) {
      await client.query('begin')
      await client.query('lock table event in share row exclusive mode')
      await sleep(random.between(20, 100))
    }
    const commitsFirst = random.chance(0.5)
    await writer.replaceStopped(async () => {
      if (held && commitsFirst) await client.query('rollback')
      await client.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'chronovisor writer'`,
      )
      if (held && !commitsFirst) await client.query('rollback')
    }, signal)
  })
}

async function refuseConnections({ cluster, random }: FaultTools): Promise<void> {
  cluster.proxy.refuse()
  await sleep(random.between(50, 3_000))
  cluster.proxy.allow()
}

/** It may be cut off with the server; what it brought so far must not mislead the next one. */
async function backUp({ cluster, signal, findings }: FaultTools): Promise<void> {
  await cluster.backUp(signal).catch((error: unknown) => {
    if (error instanceof LogCorruptError) findings.add('restore', `a backup meanwhile: ${error.message}`)
  })
}

/** The server may break down for want of space for its log; it comes back when there is some. */
async function fillDisk({ cluster, random }: FaultTools): Promise<void> {
  const giveBack = await cluster.fillDisk()
  await sleep(random.between(500, 2_500))
  await giveBack()
  await cluster.server.resume()
}
