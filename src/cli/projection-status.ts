import * as v from 'valibot'
import { controlProcedures } from '../protocol/control-procedures.ts'
import { errorCode } from '../protocol/error-codes.ts'
import { type ProjectionStatus, readProjectionStatus } from '../readmodel/projection-status.ts'
import { withClient } from '../readmodel/with-client.ts'
import { ControlClient, DaemonRefusal } from './control-client.ts'
import { isRunning, readDaemonFile } from './daemon-file.ts'
import type { History } from './history.ts'
import type { Invocation } from './invocation.ts'

const count = v.pipe(
  v.string(),
  v.regex(/^-?\d+$/),
  v.transform((text) => BigInt(text)),
)

const statusSchema = v.array(
  v.object({
    name: v.string(),
    version: v.number(),
    state: v.picklist(['building', 'behind', 'live', 'following']),
    activity: v.exactOptional(v.picklist(['building', 'waiting'])),
    position: count,
    lagEvents: count,
    lagSeconds: v.number(),
    deadLetters: v.number(),
    tables: v.array(v.object({ name: v.string(), rows: count, sizeBytes: count })),
    build: v.nullable(
      v.object({ version: v.number(), state: v.picklist(['filling', 'ready']), position: count, startedAtUs: count }),
    ),
  }),
)

/** How far each projection is: from the running daemon, which knows it to the event, else from the database. */
export async function projectionStatus(
  history: History,
  { config, nowUs }: Pick<Invocation, 'config' | 'nowUs'>,
): Promise<readonly ProjectionStatus[]> {
  const daemon = config.database === null ? readDaemonFile(config.socketDir) : null
  if (daemon !== null && isRunning(daemon)) {
    using client = await ControlClient.open(config)
    try {
      const { report } = await client.call(controlProcedures.projectionStatus, {})
      return v.parse(v.pipe(v.string(), v.parseJson(), statusSchema), report)
    } catch (error) {
      if (!(error instanceof DaemonRefusal && error.code === errorCode.noSupport)) throw error
    }
  }
  return await withClient(history.pool, (client) => readProjectionStatus(client, { nowUs: nowUs() }))
}
