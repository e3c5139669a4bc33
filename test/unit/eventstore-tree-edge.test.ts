import { hash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { eventLeaf } from '../../src/eventstore/event-leaf.ts'
import type { RecordedEvent } from '../../src/eventstore/recorded-event.ts'
import { appendLeaves, decodeEdge, emptyTree, encodeEdge, treeRoot } from '../../src/eventstore/tree-edge.ts'

// The reference tree of the Certificate Transparency project, made for RFC 6962.
const inputs = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f']
const roots = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]
const leaves = inputs.map((input) => hash('sha256', Buffer.from(`00${input}`, 'hex'), 'buffer'))

describe('treeRoot()', () => {
  test('gives the published roots of the reference tree at every size', () => {
    const computed = roots.map((_, size) =>
      Buffer.from(treeRoot(appendLeaves(emptyTree, leaves.slice(0, size)))).toString('hex'),
    )
    expect(computed).toEqual(roots)
  })

  test('is the same however the leaves come in, also over a stored edge', () => {
    const sizes = fc.array(fc.nat(40), { maxLength: 8 })
    fc.assert(
      fc.property(sizes, (parts) => {
        let edge = emptyTree
        let count = 0
        for (const part of parts) {
          const more = Array.from({ length: part }, (_, at) => hash('sha256', `${count + at}`, 'buffer'))
          count += part
          edge = decodeEdge(edge.size, encodeEdge(edge))
          edge = appendLeaves(edge, more)
        }
        const all = Array.from({ length: count }, (_, at) => hash('sha256', `${at}`, 'buffer'))
        expect(Buffer.from(treeRoot(edge))).toEqual(Buffer.from(recursiveRoot(all)))
      }),
    )
  })
})

/** Merkle Tree Hash word for word as RFC 6962 section 2.1 defines it. */
function recursiveRoot(hashes: readonly Uint8Array[]): Uint8Array {
  const [only] = hashes
  if (only === undefined) return hash('sha256', '', 'buffer')
  if (hashes.length === 1) return only
  let k = 1
  while (k * 2 < hashes.length) k *= 2
  const both = [recursiveRoot(hashes.slice(0, k)), recursiveRoot(hashes.slice(k))]
  return hash('sha256', Buffer.concat([Uint8Array.of(1), ...both]), 'buffer')
}

describe('decodeEdge()', () => {
  test('refuses a number of hashes that does not fit the size', () => {
    expect(() => decodeEdge(3n, new Uint8Array(32))).toThrow('it has 32 bytes, expected 64')
  })
})

describe('eventLeaf()', () => {
  const event: RecordedEvent = {
    position: 7n,
    stream: 'domain-é',
    revision: 3n,
    type: 'DomainDefined',
    schema: 2,
    eventId: '0b0e5c1e-1111-4222-8333-0123456789ab',
    commitNo: 5n,
    epoch: 4,
    recordedAtUs: 1_700_000_000_000_001n,
    data: Buffer.from('{"a":1}'),
    meta: Buffer.from('{}'),
  }

  test('is the hash of the documented layout', () => {
    const u64 = (value: bigint) => value.toString(16).padStart(16, '0')
    const u32 = (value: number) => value.toString(16).padStart(8, '0')
    const text = (value: string) => u32(Buffer.byteLength(value)) + Buffer.from(value).toString('hex')
    const layout = [
      '00',
      u64(7n),
      text('domain-é'),
      u64(3n),
      text('DomainDefined'),
      u32(2),
      '0b0e5c1e11114222833301234567' + '89ab',
      u64(5n),
      u32(4),
      u64(1_700_000_000_000_001n),
      hash('sha256', '{"a":1}'),
      hash('sha256', '{}'),
    ]
    expect(Buffer.from(eventLeaf(event))).toEqual(hash('sha256', Buffer.from(layout.join(''), 'hex'), 'buffer'))
  })

  test.each([
    { position: 8n },
    { stream: 'domain-e' },
    { revision: 4n },
    { type: 'DomainDefines' },
    { schema: 3 },
    { eventId: '0b0e5c1e-1111-4222-8333-0123456789ac' },
    { commitNo: 6n },
    { epoch: 5 },
    { recordedAtUs: 1_700_000_000_000_002n },
    { data: Buffer.from('{"a":2}') },
    { meta: Buffer.from('{ }') },
  ])('changes with %o', (change) => {
    expect(eventLeaf({ ...event, ...change })).not.toEqual(eventLeaf(event))
  })
})
