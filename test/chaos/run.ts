import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type BrokenName, brokenBuilds, brokenNames, isBrokenName } from './broken-builds.ts'
import { type ChaosResult, runChaos } from './chaos-run.ts'
import { findPeers, installPeers } from './peers.ts'
import type { TargetName } from './process-options.ts'
import { reportJson, reportLines } from './report.ts'

const usage = `npm run chaos -- log [--seed N] [--minutes M] [--target TARGET] [--json FILE]
npm run chaos -- all [--seeds N] [--minutes M] [--target TARGET] [--json FILE]
npm run chaos -- --install-peers

Writers, kill -9 of writer, server and consumers, cut connections, clocks that jump, stopped and replaced writers on a private
PostgreSQL; then what clients were told, the table and what consumers wrote down are compared, and a backup is restored. Exit code 3
when something is wrong.
  log            one run; --seed 1 if not given
  all            one run for each seed from 1 to --seeds (10), and their sum
  --minutes M    length of a run; 3 if not given
  --target T     ours (if not given), ours-broken:NAME, or a rival: emmett, message-db
  --json FILE    write the runs as data
  --trace        tell of every fault
  --install-peers  put the rivals into a temporary folder, with npm
Broken builds, which must be found:
${brokenNames.map((name) => `  ${name.padEnd(17)}${brokenBuilds[name].what}`).join('\n')}`

interface Target {
  readonly target: TargetName
  readonly broken: BrokenName | null
}

function parseTarget(text: string): Target {
  if (text === 'ours' || text === 'emmett' || text === 'message-db') return { target: text, broken: null }
  const broken = /^ours-broken:(.+)$/.exec(text)?.[1] ?? ''
  if (isBrokenName(broken)) return { target: 'ours', broken }
  throw new Error(`Cannot use --target "${text}": see --help`)
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seed: { type: 'string', default: '1' },
      seeds: { type: 'string', default: '10' },
      minutes: { type: 'string', default: '3' },
      target: { type: 'string', default: 'ours' },
      json: { type: 'string' },
      trace: { type: 'boolean', default: false },
      'install-peers': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values['install-peers']) {
    installPeers((line) => console.error(line))
    return 0
  }
  const [what] = positionals
  const minutes = Number(values.minutes)
  const count = Number(values.seeds)
  if (values.help || (what !== 'log' && what !== 'all') || !(minutes > 0) || !(count >= 1)) {
    console.log(usage)
    return values.help ? 0 : 2
  }
  const interrupted = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => interrupted.abort(new Error(`Interrupted by ${name}`)))
  const seeds = what === 'log' ? [Number(values.seed)] : Array.from({ length: count }, (_, at) => at + 1)
  const results: ChaosResult[] = []
  for (const seed of seeds) {
    const target = parseTarget(values.target)
    results.push(
      await oneRun(seed, { ...target, durationMs: minutes * 60_000, trace: values.trace, signal: interrupted.signal }),
    )
    console.log(reportLines(results.at(-1) ?? never()).join('\n'))
    if (values.json !== undefined)
      writeFileSync(values.json, `${JSON.stringify(results.map(reportJson), jsonValue, 1)}\n`)
  }
  if (what === 'all') console.log(summed(results))
  return results.some(({ findings }) => findings.total > 0) ? 3 : 0
}

function oneRun(
  seed: number,
  options: Target & { readonly durationMs: number; readonly trace: boolean; readonly signal: AbortSignal },
): Promise<ChaosResult> {
  console.error(`seed ${seed}: ${options.durationMs / 1_000} s against ${options.broken ?? options.target}`)
  const say = (line: string) => console.error(line)
  return runChaos({
    seed,
    ...options,
    catchUpLimitMs: 60_000,
    clients: 16,
    thinkMs: 20,
    faults: { leastPauseMs: 200, mostPauseMs: 1_200 },
    cuts: { leastPauseMs: 100, mostPauseMs: 900 },
    restores: true,
    onSmallDisk: seed % 3 === 0,
    peersDirectory: options.target === 'ours' ? null : requirePeers(),
    say,
    trace: options.trace ? say : () => undefined,
  })
}

function requirePeers(): string {
  const directory = findPeers()
  if (directory === null) throw new Error('Cannot aim at a rival: run npm run chaos -- --install-peers first')
  return directory
}

function summed(results: readonly ChaosResult[]): string {
  const sum = (count: (result: ChaosResult) => number) => results.reduce((total, result) => total + count(result), 0)
  const kills = sum(({ faults }) => Object.values(faults.kills).reduce((total, count) => total + count, 0))
  return (
    `${results.length} seeds: operations ${sum(({ operations }) => operations)}, acknowledgements checked ${sum(({ acknowledged }) => acknowledged)}, ` +
    `unknown ${sum(({ unknown }) => unknown)}, kills ${kills}, connections cut ${sum(({ faults }) => faults.cuts)}, ` +
    `events ${sum(({ events }) => events)}, findings ${sum(({ findings }) => findings.total)}`
  )
}

function never(): never {
  throw new Error('There is no result')
}

function jsonValue(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error))
  return 2
})
