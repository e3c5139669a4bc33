import type { handleBidiStreamingCall, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js'
import { status } from '@grpc/grpc-js'
import { append } from './append-call.ts'
import { batchAppend } from './batch-append-call.ts'
import { CallRefusedError } from './call-refused-error.ts'
import type { CallRunner } from './call-runner.ts'
import { statusOf } from './error-status.ts'
import { messageEncoder, wire64 } from './message-codec.ts'
import { read } from './read-call.ts'
import { type CallRow, servedCalls, unservedCalls } from './served-calls.ts'
import { wireUuid } from './wire-values.ts'

/** A call with its handler, as the server library takes it. */
export interface ServerCall {
  readonly definition: ServiceDefinition
  readonly implementation: UntypedServiceImplementation
}

/** What the server says of itself to anybody who asks. */
export interface ServerFacts {
  /** Made anew at each start. */
  readonly instanceId: string
  /** Where clients reach it by TCP; null where they cannot. */
  readonly endpoint: { readonly address: string; readonly port: number } | null
}

/** The version of EventStoreDB whose protocol is spoken: clients choose by it and by the list of methods what they ask for. */
const protocolVersion = '23.10.0'

/** A member of a cluster that leads it (gossip.proto). */
const leaderState = 8

/** Every call of the protocol: those that are served, and those that are refused by name. */
export function serverCalls(runner: CallRunner, facts: () => ServerFacts): readonly ServerCall[] {
  return [
    serverCall(servedCalls.read.path, runner.answering(read)),
    serverCall(servedCalls.append.path, runner.collecting(append)),
    serverCall(servedCalls.batchAppend.path, runner.conversing(batchAppend)),
    // Clients ask these two without credentials, before anything else.
    serverCall(servedCalls.getSupportedMethods.path, telling(supportedMethods)),
    serverCall(
      servedCalls.readGossip.path,
      telling(() => clusterInfo(facts())),
    ),
    ...unservedCalls.flatMap(({ service, methods, why }) =>
      methods.map((method) =>
        serverCall(`/${service}/${method}`, refusing(`${service}/${method} is not served: ${why}`)),
      ),
    ),
  ]
}

type Handler = handleBidiStreamingCall<Buffer, Buffer>

/**
 * On the wire a call looks the same whichever side may send more than one message. As one where both may, no request is read before its
 * handler asks for it, and so none of a caller who is not known.
 */
function serverCall(path: string, handler: Handler): ServerCall {
  const bytes = (message: Buffer) => message
  const definition = {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  }
  return { definition: { call: definition }, implementation: { call: handler } }
}

function refusing(message: string): Handler {
  return (call) => call.emit('error', statusOf(new CallRefusedError(status.UNIMPLEMENTED, message)))
}

function telling(answer: () => Buffer): Handler {
  return (call) => {
    call.write(answer())
    call.end()
  }
}

const encodeMethods = messageEncoder('event_store.client.server_features.SupportedMethods')

function supportedMethods(): Buffer {
  const rows: readonly CallRow[] = Object.values(servedCalls)
  const methods = rows.map(({ path, features = [] }) => {
    const [, serviceName = '', methodName = ''] = path.toLowerCase().split('/')
    return { methodName, serviceName, features }
  })
  return encodeMethods({ methods, eventStoreServerVersion: protocolVersion })
}

const encodeCluster = messageEncoder('event_store.client.gossip.ClusterInfo')

function clusterInfo({ instanceId, endpoint }: ServerFacts): Buffer {
  // "time_stamp" counts 100 ns since 1970.
  const timeStamp = wire64(BigInt(Date.now()) * 10_000n)
  const member = { instanceId: wireUuid(instanceId), timeStamp, state: leaderState, isAlive: true }
  return encodeCluster({ members: [{ ...member, ...(endpoint === null ? {} : { httpEndPoint: endpoint }) }] })
}
