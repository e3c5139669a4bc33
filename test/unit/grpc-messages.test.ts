import gossip from '@eventstore/db-client/generated/gossip_pb.js'
import features from '@eventstore/db-client/generated/serverfeatures_pb.js'
import shared from '@eventstore/db-client/generated/shared_pb.js'
import rpcStatus from '@eventstore/db-client/generated/status_pb.js'
import streams from '@eventstore/db-client/generated/streams_pb.js'
import fc from 'fast-check'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { int64Field, messageDecoder, messageEncoder, wire64 } from '../../src/grpc/message-codec.ts'
import { type MessageName, messageTable } from '../../src/grpc/message-table.ts'
import { uuidField, wireUuid } from '../../src/grpc/wire-values.ts'

/** The official client's classes for a name such as `event_store.client.streams.ReadReq.Options`; undefined for well-known types. */
function generatedClass(name: MessageName): unknown {
  const modules: readonly (readonly [prefix: string, module: object])[] = [
    ['event_store.client.streams.', streams],
    ['event_store.client.server_features.', features],
    ['event_store.client.gossip.', gossip],
    ['event_store.client.', shared],
    ['google.rpc.', rpcStatus],
  ]
  const found = modules.find(([prefix]) => name.startsWith(prefix))
  if (found === undefined) return undefined
  const [prefix, module] = found
  return name.slice(prefix.length).split('.').reduce<unknown>(memberOf, module)
}

function memberOf(value: unknown, name: string): unknown {
  return (typeof value === 'object' || typeof value === 'function') && value !== null
    ? Reflect.get(value, name)
    : undefined
}

/** Numbers of the fields that a generated class writes, from its serialiser. */
function writtenNumbers(generated: unknown): Set<number> {
  const text = String(memberOf(generated, 'serializeBinaryToWriter'))
  const numbers = [...text.matchAll(/writer\.write\w+\(\s*(\d+),|serializeBinary\((\d+),/g)]
  return new Set(numbers.map((match) => Number(match[1] ?? match[2])))
}

describe('messageTable', () => {
  const names = Object.keys(messageTable).filter((name): name is MessageName => name in messageTable)
  const known = names.filter((name) => generatedClass(name) !== undefined)

  // Two fields are newer than this version of the client, five are older than it wants them.
  const newer: Readonly<Record<string, readonly number[]>> = {
    'event_store.client.streams.BatchAppendReq.Options': [7],
  }
  const older: Readonly<Record<string, readonly number[]>> = {
    'event_store.client.streams.AppendResp.WrongExpectedVersion': [1, 2, 3, 4, 5],
  }

  test.each(known)('has the fields of %s that the official client knows', (name) => {
    const ours = Object.values(messageTable[name]).map(([number]) => number)
    const theirs = writtenNumbers(generatedClass(name))
    expect(ours.filter((number) => !theirs.has(number))).toEqual(newer[name] ?? [])
    expect([...theirs].filter((number) => !ours.includes(number))).toEqual(older[name] ?? [])
  })

  test('has all messages of the calls that are served', () => {
    expect(known.length).toBeGreaterThan(35)
  })
})

describe('messageEncoder() and messageDecoder()', () => {
  const encode = messageEncoder('event_store.client.AllStreamPosition')
  const decode = messageDecoder(
    'event_store.client.AllStreamPosition',
    v.object({ commitPosition: int64Field, preparePosition: int64Field }),
  )

  test('carry every unsigned 64-bit position without loss, to the official client and back', () => {
    const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
    fc.assert(
      fc.property(uint64, uint64, (commit, prepare) => {
        const bytes = encode({ commitPosition: wire64(commit), preparePosition: wire64(prepare) })
        const theirs = shared.AllStreamPosition.deserializeBinary(bytes)
        expect([theirs.getCommitPosition(), theirs.getPreparePosition()]).toEqual([`${commit}`, `${prepare}`])
        expect(decode(bytes)).toEqual({
          commitPosition: commit,
          preparePosition: prepare,
        })
      }),
      {
        examples: [
          [2n ** 53n + 1n, 2n ** 63n],
          [0n, 2n ** 64n - 1n],
        ],
      },
    )
  })

  test('carry signed 64-bit numbers too', () => {
    const read = messageDecoder('event_store.client.gossip.MemberInfo', v.object({ timeStamp: int64Field }))
    const write = messageEncoder('event_store.client.gossip.MemberInfo')
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        const bytes = write({ timeStamp: wire64(value) })
        expect(gossip.MemberInfo.deserializeBinary(bytes).getTimeStamp()).toBe(`${value}`)
        expect(read(bytes)).toEqual({ timeStamp: value })
      }),
    )
  })

  test('refuse bytes that are no message', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          decode(bytes)
        } catch (error) {
          expect(error).toHaveProperty('name', 'MalformedMessageError')
        }
      }),
    )
  })
})

describe('wireUuid() and uuidField', () => {
  const encode = messageEncoder('event_store.client.UUID')
  const decode = messageDecoder('event_store.client.UUID', uuidField)

  test.each(['text', 'structured'] as const)('carry every UUID as %s', (form) => {
    fc.assert(
      fc.property(fc.uuid(), (uuid) => {
        expect(decode(encode(wireUuid(uuid, form)))).toBe(uuid)
      }),
    )
  })
})
