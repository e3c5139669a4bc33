import { RpcCallError, RpcClient } from '../support/rpc-client.ts'
import { remoteProcedures } from '../../src/protocol/procedure-table.ts'
import type { RawCall } from './step.ts'

const calls = {
  'unknown procedure': (client: RpcClient) => client.callRaw(9_999),
  'unknown program': (client: RpcClient) => client.callRaw(1, Buffer.alloc(0), { program: 0x1234_5678 }),
  'cut message': (client: RpcClient) => client.callRaw(remoteProcedures.domainLookupByName.number, Buffer.from([0, 0])),
} as const satisfies Readonly<Record<RawCall, (client: RpcClient) => Promise<Buffer>>>

/** Makes a call that must be refused, then one that must work on the same connection: "CODE DOMAIN, then …". */
export async function makeRawCall(socketPath: string, call: RawCall): Promise<string> {
  await using client = await RpcClient.open(socketPath)
  const refused = await refusal(() => calls[call](client))
  const { hostname } = await client.call(remoteProcedures.connectGetHostname, {})
  return `${refused}, then ${hostname === '' ? 'no answer' : 'the connection still answers'}`
}

async function refusal(call: () => Promise<Buffer>): Promise<string> {
  try {
    await call()
    return 'accepted'
  } catch (error) {
    if (error instanceof RpcCallError) return `${error.error.code} ${error.error.domain}`
    throw error
  }
}
