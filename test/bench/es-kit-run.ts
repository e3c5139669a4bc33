import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as v from 'valibot'
import { addOurAdapters, peers, peersDir } from './es-peers.ts'

const loopSchema = v.object({
  perSec: v.number(),
  p50: v.number(),
  p99: v.number(),
  clientUs: v.number(),
  serverUs: v.number(),
  failures: v.optional(v.number(), 0),
  lostUpdates: v.optional(v.number(), 0),
})
const readSchema = v.object({
  perSec: v.number(),
  events: v.number(),
  lost: v.number(),
  twice: v.number(),
  ghosts: v.number(),
  outOfOrder: v.number(),
  cut: v.boolean(),
})
const resultSchema = v.object({
  adapter: v.string(),
  job: v.string(),
  error: v.optional(v.string()),
  single: v.optional(v.record(v.string(), loopSchema)),
  batchMany: v.optional(loopSchema),
  batchOne: v.optional(loopSchema),
  any: v.optional(loopSchema),
  decide: v.optional(loopSchema),
  noStreamWinners: v.optional(v.number()),
  read: v.optional(readSchema),
})
const reportSchema = v.object({
  environment: v.looseObject({ postgres: v.string(), settings: v.record(v.string(), v.string()) }),
  results: v.array(resultSchema),
})

/** One round of one store. */
export type KitResult = v.InferOutput<typeof resultSchema>
/** What the kit says of a whole run. */
export type KitReport = v.InferOutput<typeof reportSchema>
/** A closed loop of the kit: rates a second, times in milliseconds, processor time in microseconds an event. */
export type KitLoop = v.InferOutput<typeof loopSchema>

/** Runs bars 1 to 4 of the kit: ours, the rivals and the limits, in turns, in one server. Throws what the kit says of a failure. */
export async function runKit(options: {
  readonly dsn: string
  readonly rounds: number
  readonly seconds: number
  readonly bars: readonly string[]
  readonly say: (line: string) => void
}): Promise<KitReport> {
  addOurAdapters()
  const directory = mkdtempSync(join(tmpdir(), 'bench-es-'))
  const json = join(directory, 'report.json')
  const adapters = ['chronovisor', 'chronovisor-live', ...peers.rivals, ...peers.limits].join(',')
  const flags = {
    adapters,
    bars: options.bars.join(','),
    checks: '',
    // Long enough for both sides' code to be compiled: what is measured is a store that runs.
    secs: 4 * options.seconds,
    warm: options.seconds,
    rounds: options.rounds,
    'read-cap': 25,
    dsn: options.dsn,
    json,
  }
  const words = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)])
  try {
    await new Promise<void>((resolve, reject) => {
      const kit = spawn(process.execPath, ['run.mjs', ...words], {
        cwd: peersDir,
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      kit.stderr.setEncoding('utf8').on('data', (text: string) => options.say(text.trimEnd()))
      kit.once('error', reject)
      kit.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`The kit ended with ${code}`))))
    })
    return v.parse(reportSchema, JSON.parse(readFileSync(json, 'utf8')))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
