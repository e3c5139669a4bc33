import { parseArgs } from 'node:util'
import { setTimeout as sleep } from 'node:timers/promises'
import { remoteProcedures as procedures } from '../../src/protocol/procedure-table.ts'
import type { DomainRef } from '../../src/protocol/wire-types.ts'
import { cpuSeconds } from './bars.ts'
import { flood, refusalLog, startGuest } from '../support/refusal-flood.ts'
import { RpcClient } from '../support/rpc-client.ts'
import { startDaemon } from '../support/running-daemon.ts'

const usage = `node test/bench/refusals.ts [--calls N] [--connections N] [--uid N]

One user floods a daemon of its own (driver test, embedded PostgreSQL) with calls that are refused; another one lists the
domains and changes one meanwhile. Prints what the flood has cost and whether the log accounts for every call.
  --calls N        1,000,000 if not given
  --connections N  16 if not given
  --uid N          whom the flood connects as, where this is root: 65534 if not given`

/** What the whole flood may cost, in bytes of log. */
const mostBytes = 50_000_000

/** How long calls of somebody else took during the flood. */
interface Others {
  readonly lists: number[]
  readonly changes: number[]
}

/** Lists and changes until it is told to stop; the waits are far longer than the calls. */
async function meanwhile(path: string, domain: DomainRef, signal: AbortSignal): Promise<Others> {
  await using client = await RpcClient.open(path, 'test:///default')
  const [lists, changes]: [number[], number[]] = [[], []]
  const timed = async (into: number[], call: () => Promise<unknown>) => {
    const startMs = performance.now()
    await call()
    into.push(performance.now() - startMs)
  }
  for (let at = 0; !signal.aborted; at++) {
    await timed(lists, async () => await client.call(procedures.connectListAllDomains, { needResults: 1, flags: 0 }))
    if (at % 3 === 0) {
      await timed(
        changes,
        async () => await client.call(procedures.domainSetAutostart, { domain, autostart: at % 6 === 0 ? 1 : 0 }),
      )
    }
    await sleep(50)
  }
  return { lists, changes }
}

function quantiles(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number) => (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1)
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(1)} ms of ${sorted.length}`
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      calls: { type: 'string', default: '1000000' },
      connections: { type: 'string', default: '16' },
      uid: { type: 'string', default: '65534' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const [calls, connections] = [Number(values.calls), Number(values.connections)]
  if (values.help || !(calls >= 1) || !(connections >= 1)) {
    console.log(usage)
    return values.help ? 0 : 2
  }
  await using daemon = await startDaemon({ driver: 'test' })
  const path = daemon.socketPath()
  await using client = await RpcClient.open(path, 'test:///default')
  const running = await startGuest(client)
  const before = await refusalLog(daemon.file())
  const cpuBefore = cpuSeconds([daemon.pid()])
  const stop = new AbortController()
  const others = meanwhile(path, running, stop.signal)
  const startMs = performance.now()
  const uid = process.getuid?.() === 0 ? { uid: Number(values.uid) } : {}
  const answered = await flood({ path, calls, connections, running, ...uid })
  const seconds = (performance.now() - startMs) / 1000
  const cpu = cpuSeconds([daemon.pid()]) - cpuBefore
  stop.abort()
  const { lists, changes } = await others
  await daemon.stop()
  await daemon.start()
  const after = await refusalLog(daemon.file())
  const [recorded, bytes] = [after.recorded - before.recorded, after.bytes - before.bytes]
  const accounted = recorded + after.counted
  console.log(
    `calls           ${answered} refused over ${connections} connections in ${seconds.toFixed(1)} s: ${Math.round(answered / seconds)}/s, ${((cpu / answered) * 1e6).toFixed(1)} us of the daemon's CPU each`,
  )
  console.log(
    `in the log      ${recorded} recorded + ${after.counted} counted in ${after.windows} windows = ${accounted}`,
  )
  console.log(
    `log growth      ${bytes} bytes of tables and indexes, with ${changes.length} changes of another user; the limit is ${mostBytes}`,
  )
  console.log(`another's list  ${quantiles(lists)}`)
  console.log(`another's change ${quantiles(changes)}`)
  return answered === calls && accounted === calls && bytes < mostBytes ? 0 : 3
}

process.exitCode = await main()
