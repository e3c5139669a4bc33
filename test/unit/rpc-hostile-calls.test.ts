import fc from 'fast-check'
import { expect, test } from 'vitest'
import { remoteProcedures } from '../../src/protocol/procedure-table.ts'
import { startMemoryServer } from '../support/memory-server.ts'
import { RpcCallError, RpcClient } from '../support/rpc-client.ts'

const closing = new Set([remoteProcedures.connectOpen.number, remoteProcedures.connectClose.number])
const numbers = Array.from({ length: 460 }, (_, index) => index).filter((number) => !closing.has(number))

test('a call of any number with any bytes is answered, and is never the fault of the daemon', async () => {
  await using served = await startMemoryServer()
  served.memory.add('web', { id: 1, state: 'running' })
  await using client = await RpcClient.open(served.path)
  const payload = fc.oneof(
    fc.constant(new Uint8Array()),
    fc.uint8Array({ maxLength: 120 }),
    fc.array(fc.constantFrom(0, 1, 2, 4, 0x7f, 0xff), { maxLength: 30 }).map((words) => wordsOf(words)),
  )
  const call = fc.record({ number: fc.constantFrom(...numbers), payload })
  await fc.assert(
    fc.asyncProperty(fc.array(call, { minLength: 50, maxLength: 100 }), async (calls) => {
      const replies = calls.map(async ({ number, payload: bytes }) => {
        try {
          await client.callRaw(number, Buffer.from(bytes))
        } catch (error) {
          expect(error).toBeInstanceOf(RpcCallError)
        }
      })
      await Promise.all(replies)
    }),
    { numRuns: 40 },
  )
  expect(served.internalErrors).toEqual([])
  expect(served.lost).toEqual([])
  expect(await client.call(remoteProcedures.connectGetHostname, {})).toEqual({ hostname: 'host.example' })
})

test('every procedure with codecs answers an empty call, if only to say that it is too short', async () => {
  await using served = await startMemoryServer()
  await using client = await RpcClient.open(served.path)
  for (const { number, name } of Object.values(remoteProcedures)) {
    if (closing.has(number)) continue
    const answer = await client.callRaw(number).then(
      () => 'answered',
      (error: unknown) => (error instanceof RpcCallError ? `${error.error.code}` : 'lost'),
    )
    // Answered, an event that was not registered, not served yet, or too short to be read.
    expect(['answered', '1', '3', '39'], name).toContain(answer)
  }
})

/** Each number as one word, so that lengths and discriminants come out small. */
function wordsOf(words: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(words.length * 4)
  words.forEach((word, index) => bytes.writeUInt32BE(word, index * 4))
  return bytes
}
