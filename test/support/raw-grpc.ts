import { Client, credentials, type Metadata, type ServiceError } from '@grpc/grpc-js'
import streams from '@eventstore/db-client/generated/streams_pb.js'

/** What the generated classes of the official client have in common. */
interface Message {
  serializeBinary(): Uint8Array
}

/** A client that sends what the official one never does: any message to any call, by the official client's message classes. */
export interface RawGrpc extends Disposable {
  /** All answers of a call with one request. Rejects with the status of a call that fails. */
  read(request: Message, metadata?: Metadata): Promise<readonly streams.ReadResp[]>
  /** The status of a call of any name; null where it succeeds. */
  statusOf(path: string, request?: Uint8Array): Promise<ServiceError | null>
}

/** Connects to a target such as `unix:/path`, without TLS. */
export function rawGrpc(target: string): RawGrpc {
  const client = new Client(target, credentials.createInsecure())
  const asBytes = (bytes: Uint8Array) => Buffer.from(bytes)
  return {
    async read(request, metadata) {
      const path = '/event_store.client.streams.Streams/Read'
      const decode = (bytes: Buffer) => streams.ReadResp.deserializeBinary(bytes)
      const bytes = request.serializeBinary()
      const call =
        metadata === undefined
          ? client.makeServerStreamRequest(path, asBytes, decode, bytes)
          : client.makeServerStreamRequest(path, asBytes, decode, bytes, metadata)
      return await Array.fromAsync(call)
    },
    async statusOf(path, request = new Uint8Array()) {
      return await new Promise((resolve) => {
        client.makeUnaryRequest(
          path,
          asBytes,
          (bytes) => bytes,
          request,
          (error) => resolve(error),
        )
      })
    },
    [Symbol.dispose]() {
      client.close()
    },
  }
}
