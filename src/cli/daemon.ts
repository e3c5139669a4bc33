import { flushCompileCache } from 'node:module'
import { setFlagsFromString } from 'node:v8'
import type { Logger } from 'pino'
import { beginStart } from '../begin-start.ts'
import { type Config, readConfig } from '../config.ts'
import type { Daemon } from '../main.ts'
import { prettyLines } from './pretty-lines.ts'
import { sdNotify } from './sd-notify.ts'

/** Longest wait for an orderly end before the process ends all the same, in milliseconds. */
const stopLimitMs = 30_000
/** Until then a start is over as a rule. */
const prettyAfterMs = 1_000
/** From then on another signal means hurry; before, it is the same one twice. */
const hurryAfterMs = 1_000

/**
 * `chronovisor daemon`: runs the daemon in the foreground until SIGTERM or SIGINT. Prints what runs where once it answers.
 * Returns the exit code: 0 after an orderly end, 1 when the log was lost to another writer.
 */
export async function runDaemon(flags: Readonly<Record<string, string | undefined>>): Promise<number> {
  // New objects get room quickly: else they are sorted out twenty times while the daemon starts, and most of them stay.
  setFlagsFromString('--semi-space-growth-factor=16')
  const config = readConfig(flags)
  const told = nextSignal()
  const { daemon, logger } = await start(config)
  process.stdout.write(`${daemon.announcement.join('\n')}\n`)
  sdNotify({ ready: true, status: 'Serving' })
  flushCompileCache()
  const end = await Promise.race([told, daemon.fenced])
  if (end instanceof Error) {
    logger.fatal({ err: end }, 'The log belongs to another writer: this daemon must not act any more')
    return 1
  }
  sdNotify({ stopping: true })
  logger.info({ signal: end }, 'Stopping; domains go on')
  await daemon.stop(end)
  return 0
}

/** The database gets ready in a process of its own while the code of the daemon is loaded. */
async function start(config: Config): Promise<{ readonly daemon: Daemon; readonly logger: Logger }> {
  const early: (readonly [level: 'info' | 'warn', message: string])[] = []
  let logger: Logger | null = null
  const tell = (level: 'info' | 'warn', message: string): void => {
    if (logger === null) early.push([level, message])
    else logger[level](message)
  }
  const begun = await beginStart(config, {
    info: (message) => tell('info', message),
    warn: (message) => tell('warn', message),
  })
  try {
    const [{ startDaemon }, created] = await Promise.all([import('../main.ts'), createLogger(config)])
    logger = created
    for (const [level, message] of early) logger[level](message)
    return { daemon: await startDaemon(config, logger, { begun }), logger }
  } catch (error) {
    await begun[Symbol.asyncDispose]()
    throw error
  }
}

/** Lines for people on standard error, or JSON lines. Texts of requests are never logged, only who asked what of which domain. */
async function createLogger(config: Config): Promise<Logger> {
  const { pino } = await import('pino')
  const options = { level: config.logLevel, base: null }
  if (config.jsonLogs) return pino(options, pino.destination({ dest: 2, sync: false }))
  const lines = prettyLines({ colorize: process.stderr.isTTY })
  // Soon all the same: node_modules may vanish while the daemon runs.
  setTimeout(() => void lines.load().catch(() => undefined), prettyAfterMs).unref()
  return pino(options, lines)
}

/**
 * The first signal to stop. A later one ends the process at once: somebody is in a hurry. Not so in the first moment, since
 * npm hands on the Ctrl-C that the terminal has sent to every process already.
 */
async function nextSignal(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  let firstAtMs: number | null = null
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      const nowMs = performance.now()
      // Counted from the signal: a start that hangs must not hold up the end.
      if (firstAtMs === null) setTimeout(() => process.exit(1), stopLimitMs).unref()
      firstAtMs ??= nowMs
      if (nowMs - firstAtMs >= hurryAfterMs) process.exit(130)
      resolve(signal)
    })
  }
  return await promise
}
