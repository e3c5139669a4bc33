import type { Logger } from 'pino'
import type { Config } from './config.ts'
import type { GrpcServer } from './grpc/grpc-server.ts'
import { groupIdOf } from './host/group-id.ts'
import type { OpenLog } from './open-log.ts'
import { peerCredentials } from './rpc/peer-credentials.ts'
import { systemClock } from './util/clock.ts'

/**
 * Serves the EventStoreDB protocol where the configuration says; null where it says nothing, and then none of its code is loaded. All of
 * it is loaded here: node_modules may vanish while the daemon runs.
 */
export async function composeGrpc(parts: {
  readonly config: Config
  readonly log: Pick<OpenLog, 'store' | 'hostId'>
  readonly logger: Logger
}): Promise<GrpcServer | null> {
  const { config, log, logger } = parts
  const { grpc, stateDir } = config
  if (grpc === null) return null
  const { GrpcServer } = await import('./grpc/grpc-server.ts')
  const { credentialsPath } = await import('./grpc/credentials-file.ts')
  const { loopbackCertificate } = await import('./grpc/loopback-certificate.ts')
  const gid = config.socketGroup === null ? null : groupIdOf(config.socketGroup)
  // Whoever may connect to the socket may append: its owner, and the group that may manage domains.
  const access = gid === null ? { mode: 0o600 } : { mode: 0o660, gid }
  const server = new GrpcServer({
    store: log.store,
    hostId: log.hostId,
    clock: systemClock,
    address: grpc.kind === 'unix' ? { ...grpc, ...access } : grpc,
    credentialsPath: credentialsPath(stateDir),
    certificate: grpc.kind === 'tcp' ? loopbackCertificate(stateDir) : null,
    unixActor: (socket) => {
      const { uid, gid: group, pid, program } = peerCredentials(socket)
      return { uid, gid: group, pid, program, address: server.target, authentication: 'peer' }
    },
    log: {
      internalError: (error, call) => logger.error({ err: error, call }, 'A gRPC call failed by a fault of the daemon'),
      warn: (message) => logger.warn(message),
    },
  })
  await server.listen()
  return server
}
