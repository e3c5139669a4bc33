import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Config } from './config.ts'
import { LogFeed } from './eventstore/log-feed.ts'
import { groupIdOf } from './host/group-id.ts'
import type { OpenLog } from './open-log.ts'

/** Where readers of the log in other processes are told of commits. */
export function logFeedPath(config: Pick<Config, 'socketDir'>): string {
  return join(config.socketDir, 'log-feed.sock')
}

/** Serves the feed of the log; null where that is impossible, which the log says: its readers look at the table by themselves then. */
export async function composeLogFeed(parts: {
  readonly config: Config
  readonly log: Pick<OpenLog, 'store'>
  readonly logger: Logger
}): Promise<LogFeed | null> {
  const { config, log, logger } = parts
  const gid = config.socketGroup === null ? null : groupIdOf(config.socketGroup)
  const access = gid === null ? { mode: 0o600 } : { mode: 0o660, gid }
  try {
    return await LogFeed.serve({ path: logFeedPath(config), ...access, log: log.store })
  } catch (error) {
    logger.warn({ err: error }, 'Readers of the log are not told of commits')
    return null
  }
}
