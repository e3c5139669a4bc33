import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { leafHash, nodeHash } from '../../src/eventstore/merkle-hash.ts'
import {
  consistencyProof,
  inclusionProof,
  isConsistent,
  rangeRoot,
  rootOfInclusion,
  type SubtreeHash,
} from '../../src/eventstore/merkle-proof.ts'
import { rootOf, subtreesOf, tilePath } from '../../src/eventstore/tile.ts'
import { appendLeaves, emptyTree, treeRoot } from '../../src/eventstore/tree-edge.ts'
import { emptyFront, growTree, levelsOf, treeOfFront } from '../../src/eventstore/tree-front.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const bytes = (text: string): Buffer => Buffer.from(text, 'hex')
const base64 = (text: string): Buffer => Buffer.from(text, 'base64')

// The reference tree and proofs of the Certificate Transparency project, made for RFC 6962.
const inputs = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f']
const referenceLeaves = inputs.map((input) => leafHash(bytes(input)))
const referenceRoots = [
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
const inclusions = [
  { index: 0n, size: 1n, path: [] },
  {
    index: 0n,
    size: 8n,
    path: [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  },
  {
    index: 5n,
    size: 8n,
    path: [
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  },
  { index: 2n, size: 3n, path: ['fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125'] },
  {
    index: 1n,
    size: 5n,
    path: [
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  },
]
const consistencies = [
  { oldSize: 1n, newSize: 1n, path: [] },
  { oldSize: 1n, newSize: 8n, path: inclusions[1]?.path ?? [] },
  {
    oldSize: 6n,
    newSize: 8n,
    path: [
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  },
  {
    oldSize: 2n,
    newSize: 5n,
    path: [
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  },
  {
    oldSize: 6n,
    newSize: 7n,
    path: [
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  },
]

// Answers of a public Certificate Transparency log (Argon 2020): entry 10,000, and the step from 3,654,490 to 961,984,013 entries.
const argon = {
  size: 961_984_013n,
  root: base64('dwlueapdd7LaOEnX2W2Wp9v2XE+KzejHRQGHwEx0oaM='),
  oldSize: 3_654_490n,
  oldRoot: base64('AuIZ5V6sDUj1vn3Y1K85oOaQ7y+FJJKtyRTl1edIKBQ='),
  index: 10_000n,
  leaf: base64('nCs3mfIydh9x4CKyQ+u2xtmpxmFggA5MLymHwNQSlLg='),
  audit: [
    'T46AmJsuOM/gFiGlUp+IJJebp+1Z5qratFNW7U0JyOQ=',
    '9Jj1Feodn42uRYEfffkV4HF/EIPFQ5Zo9IwkxbQ2uhk=',
    'D53/1oCNebF4J59HHgioovKZxrmrKcVuCVhy3Izg8Ck=',
    'wSFDgGSrsXRPA+1c8WHoAFCsWeUv8NDyP/Q/SgsyVyY=',
    '516/RcwsgdwdzHn18v1dJHqBkgFUbNhmCIWOGjsMJaE=',
    'naTFY2ajLFgrgs5XUl+zJYZnnlJksLGsA1VYwpLfqbY=',
    'mKBRJo6qao+0Kdh/rhGkZUbHUAxMhrtrclrTpIbNjIg=',
    'Co4ueOFE7lpifLio94irxxsv1wFMMaK3tPu2ZQkHlro=',
    'yRgy800K6JMYCC05sWfqF2kvCg2riT/pVM+nEa6V5+0=',
    'n2O38XJZC8/Wpbwi9HhgVizlUyeUHVZvYyQB1607MRc=',
    'go3tAjuNfNSCj87y2Rg1xOroDknGN1eaf3cgvzObf7Q=',
    '8D0Mj3/J7ySSnFb0afIHYXv6rlOhECnsebY6XKi1IR8=',
    '6rcez46ZU8M5vPiWVMAUfJfAOV0pPP/mch/lYzZhj/M=',
    '2rtIeXrPvSdUyHc5maIgSAVB2BzaKaupWxSAiVayDE4=',
    'nniW/IMFQPN5xw8UsHFn7CRStYbm1gLu7NNa6kkRqJQ=',
    'mRPPi7sQS22MduIEyvcNzCNFqIt6kLwYPkNKrVtIcu8=',
    'JvTivzESNS9wHI8aph5a7uieVmtS/p9PciMZ5D6GyOo=',
    'UTyQd+Ym0wY4zG+qK806bBORwi1CSVvFQ/KknnqoZj8=',
    'hXODrqN+ff+U6zPqRQ+ZQKs6im1fPcxIerDSfNwflhE=',
    'II6GE+WY/DrpZzfHztLwkR46o37zVkNLCyPYlf68zA0=',
    'd609kWWcNBllbA8Jb/ad4XAVVGnScLRmtP8FYyr+Dck=',
    'rikBsP0G0gioXRpBFED2CzQdSLrGPvRd0bEcbEZw1rI=',
    'GXIElfmnRuWfbA4z7ubV/UwlpSRUbUeec7oL5HDDnh0=',
    'pR0SH/NYP6s9+8azWwaeUXA4Ze/3WCIgMfh5YW6wvcE=',
    'f3GuAKYVrF8RBg3s15jvA/YvV9oAliWtzP/imwPhQVA=',
    'WHn8zDxlVgkV+lSlmzaOdfSBrTHoRr5nT3d76q0KKWE=',
    'f2uV2ZxVgULzLPKuZcowRY3ZY7fRlX59iDBjV1R8kNQ=',
    'NzQVjJsvQwbi7WStMr9oFkh9VbHfK7LB6o7WwAqwNTs=',
    'C0LttBeYHZHgL+032JIcJC3CTBIyza/hsbmJUgJfmDI=',
    'nixU5CWTFVDlF4BGdcU6kA7WSYurEpe9jRWc+F/7sOc=',
  ].map(base64),
  consistency: [
    '80Sfbj6UQEdVSZCSIgh9NMPj3vCBzcc1A48B2crJSWg=',
    'FZcrgAHUk6nNPviJZq8kEK6jCG1d18pJOFE45ZDc1TQ=',
    'Q67reWXmPBo1UfmwBap4Xi9PMPfFdUSSw3WGlRZdG7k=',
    'eJ7CyhR4PxzBxDIsWgrVYW1eFUb9ndgf46tFmiqVrxA=',
    'QrDwp062Grm5WY8KdrhFsBuuNjGzRox2Jb8PmVL5OYw=',
    'XM4YMjMEdLH/XJam/ZWyaP14k3cmsOtnPsOWQ54lW1s=',
    'SGiBh+jOTGccXU48ZzgQ88lRcBmtB4wz4oSDndv2QTg=',
    'WAS6txqNLYKGL1GdBdpqmV42TTfn6cJsuDsqLXuTCNI=',
    'QFmRS0rirUA7ZN3lxFjDncV+E1OCrn3NUB4RCp+5fzc=',
    'Hdbp7It2XBNZmNDBpCN/KPd7vfVqxgzwOosqVIaEA9E=',
    'mxvHL0ZiblBdD7j7pIa1jlfB0gSqfJ6oX0UGo7L0VsU=',
    'q5hjyvoW6TL/PThgcitpDcSTrnKX2p1+aqscqH2euRA=',
    'jTOWDqt3IHj2NVFeezyBz2ofpru+ztEywqKUAfFclKI=',
    'GIRn0w3HqJdvU9j1WVD//eR6lk2AaTVjyzjsJNP8U88=',
    'x52GJvxG81fnQBrgOTbll1A5tz95/LXK0Ag1NhB0r1I=',
    '6/0OqrcTgc3o5dD5PymmoC96lB9yLPFuTHVvLy8fSGk=',
    'Gf+iKLfcXO5l4JEFmsZvSdG5q1uEeWPfYLrds6pmjz0=',
    'DGuaco+McyM3AfRSF6qX7RwSetwe2ieYJmxw5e9rVx0=',
    '2tQJ9V32hnYp+fdpP6TcjmgJmLeNVOMKM0Ml1kk4cNU=',
    '3PapK+IkyJr8I9yAErAmzuZezzLMzsg+PfeRCgNW8NQ=',
    's6xiYeejb+wtqHA+URJZ2I/SCPyIW8coP6aB00FJbMY=',
    'z9lSpmdTcr5M5ZzKlc4EPh3SrSypKFdk6JUF/UccaZU=',
    'GXIElfmnRuWfbA4z7ubV/UwlpSRUbUeec7oL5HDDnh0=',
    'pR0SH/NYP6s9+8azWwaeUXA4Ze/3WCIgMfh5YW6wvcE=',
    'f3GuAKYVrF8RBg3s15jvA/YvV9oAliWtzP/imwPhQVA=',
    'WHn8zDxlVgkV+lSlmzaOdfSBrTHoRr5nT3d76q0KKWE=',
    'f2uV2ZxVgULzLPKuZcowRY3ZY7fRlX59iDBjV1R8kNQ=',
    'NzQVjJsvQwbi7WStMr9oFkh9VbHfK7LB6o7WwAqwNTs=',
    'C0LttBeYHZHgL+032JIcJC3CTBIyza/hsbmJUgJfmDI=',
    'nixU5CWTFVDlF4BGdcU6kA7WSYurEpe9jRWc+F/7sOc=',
  ].map(base64),
}

function subtreesOver(leaves: readonly Uint8Array[]): SubtreeHash {
  const row = Buffer.concat(leaves)
  const rows = [row]
  while (rows.length < levelsOf(BigInt(leaves.length))) {
    const below = rows.at(-1) ?? row
    const roots: Uint8Array[] = []
    for (let at = 0; at + 8192 <= below.length; at += 8192) roots.push(rootOf(below.subarray(at, at + 8192)))
    rows.push(Buffer.concat(roots))
  }
  return subtreesOf(BigInt(leaves.length), async (level, n, width) =>
    (rows[level] ?? row).subarray(Number(n) * 8192, Number(n) * 8192 + width * 32),
  )
}

const someLeaves = Array.from({ length: 1_400 }, (_, at) => leafHash(Buffer.from(`leaf ${at}`)))

describe('inclusionProof()', () => {
  test('gives the published audit paths, which lead to the published roots', async () => {
    for (const { index, size, path } of inclusions) {
      const leaves = referenceLeaves.slice(0, Number(size))
      const made = await inclusionProof(index, { size, subtree: subtreesOver(leaves) })
      expect(made.map(hex)).toEqual(path)
      const root = rootOfInclusion(leaves[Number(index)] ?? leafHash(bytes('')), { index, size, path: made })
      expect(hex(root ?? bytes(''))).toBe(referenceRoots[Number(size)])
    }
  })

  test('proves every leaf of trees over several tiles', async () => {
    for (const size of [1, 2, 255, 256, 257, 511, 513, 1_024, 1_400]) {
      const leaves = someLeaves.slice(0, size)
      const subtree = subtreesOver(leaves)
      const root = hex(treeRoot(appendLeaves(emptyTree, leaves)))
      expect(hex(await rangeRoot(0n, BigInt(size), subtree))).toBe(root)
      for (let at = 0; at < size; at += 1 + (size >> 4)) {
        const where = { index: BigInt(at), size: BigInt(size) }
        const path = await inclusionProof(where.index, { size: where.size, subtree })
        expect(hex(rootOfInclusion(leaves[at] ?? bytes(''), { ...where, path }) ?? bytes(''))).toBe(root)
      }
    }
  })

  test('refuses a leaf that the tree has not', async () => {
    await expect(inclusionProof(8n, { size: 8n, subtree: subtreesOver(referenceLeaves) })).rejects.toThrow(
      'has 8 leaves',
    )
  })
})

describe('rootOfInclusion()', () => {
  test('verifies an entry of a public log with 961,984,013 entries', () => {
    const { index, size, leaf, audit, root } = argon
    expect(hex(rootOfInclusion(leaf, { index, size, path: audit }) ?? bytes(''))).toBe(hex(root))
  })

  test('leads elsewhere with another index, size, leaf or path', () => {
    for (const { index, size, path } of inclusions.slice(1)) {
      const proof = path.map(bytes)
      const leaf = referenceLeaves[Number(index)] ?? bytes('')
      const root = referenceRoots[Number(size)]
      const flipped = proof.map((hash, at) =>
        at === 0 ? Buffer.from(hash.map((byte, i) => (i === 0 ? byte ^ 8 : byte))) : hash,
      )
      const first = proof[0] ?? leaf
      const attempts: readonly (readonly [Uint8Array, Parameters<typeof rootOfInclusion>[1]])[] = [
        [leaf, { index: index - 1n, size, path: proof }],
        [leaf, { index: index + 1n, size, path: proof }],
        [leaf, { index: index ^ 2n, size, path: proof }],
        [leaf, { index, size: size * 2n, path: proof }],
        [leaf, { index, size: size / 2n, path: proof }],
        [bytes('00'.repeat(32)), { index, size, path: proof }],
        [bytes('00'), { index, size, path: proof }],
        [leaf, { index, size, path: [...proof, new Uint8Array()] }],
        [leaf, { index, size, path: [...proof, first] }],
        [leaf, { index, size, path: [first, ...proof] }],
        [leaf, { index, size, path: proof.slice(0, -1) }],
        [leaf, { index, size, path: flipped }],
      ]
      for (const [of, where] of attempts) expect(hex(rootOfInclusion(of, where) ?? bytes(''))).not.toBe(root)
    }
  })
})

describe('consistencyProof()', () => {
  test('gives the published proofs, which hold', async () => {
    for (const { oldSize, newSize, path } of consistencies) {
      const subtree = subtreesOver(referenceLeaves.slice(0, Number(newSize)))
      const made = await consistencyProof(oldSize, { newSize, subtree })
      expect(made.map(hex)).toEqual(path)
      const older = { size: oldSize, root: bytes(referenceRoots[Number(oldSize)] ?? '') }
      const newer = { size: newSize, root: bytes(referenceRoots[Number(newSize)] ?? '') }
      expect(isConsistent(older, newer, made)).toBe(true)
    }
  })

  test('proves any two sizes of a tree over several tiles, and no two different trees', async () => {
    const sizes = fc.tuple(fc.integer({ min: 0, max: 1_400 }), fc.integer({ min: 0, max: 1_400 }))
    await fc.assert(
      fc.asyncProperty(sizes, async ([a, b]) => {
        const [small, large] = [Math.min(a, b), Math.max(a, b)]
        const rootAt = (size: number) => treeRoot(appendLeaves(emptyTree, someLeaves.slice(0, size)))
        const older = { size: BigInt(small), root: rootAt(small) }
        const newer = { size: BigInt(large), root: rootAt(large) }
        const subtree = subtreesOver(someLeaves.slice(0, large))
        const path = await consistencyProof(older.size, { newSize: newer.size, subtree })
        expect(isConsistent(older, newer, path)).toBe(true)
        const forged = { ...older, root: nodeHash(older.root, older.root) }
        expect(isConsistent(forged, newer, path)).toBe(false)
      }),
      { numRuns: 40 },
    )
  })
})

describe('isConsistent()', () => {
  test('verifies the growth of a public log from 3,654,490 to 961,984,013 entries', () => {
    const older = { size: argon.oldSize, root: argon.oldRoot }
    const newer = { size: argon.size, root: argon.root }
    expect(isConsistent(older, newer, argon.consistency)).toBe(true)
    expect(isConsistent({ ...older, size: older.size + 1n }, newer, argon.consistency)).toBe(false)
    expect(isConsistent(older, { ...newer, root: older.root }, argon.consistency)).toBe(false)
    for (const [at, hash] of argon.consistency.entries()) {
      const flipped = Buffer.from(hash)
      flipped[31] = (hash[31] ?? 0) ^ 16
      expect(isConsistent(older, newer, argon.consistency.toSpliced(at, 1, flipped))).toBe(false)
    }
  })

  test('refuses a tree that shrinks, and a proof where none is needed', () => {
    const root = (size: number) => bytes(referenceRoots[size] ?? '')
    expect(isConsistent({ size: 2n, root: root(2) }, { size: 1n, root: root(1) }, [])).toBe(false)
    expect(isConsistent({ size: 1n, root: root(1) }, { size: 1n, root: root(1) }, [root(1)])).toBe(false)
    expect(isConsistent({ size: 0n, root: root(0) }, { size: 3n, root: root(3) }, [root(1)])).toBe(false)
    expect(isConsistent({ size: 0n, root: root(0) }, { size: 3n, root: root(3) }, [])).toBe(true)
    expect(isConsistent({ size: 0n, root: root(1) }, { size: 3n, root: root(3) }, [])).toBe(false)
    expect(isConsistent({ size: 1n, root: root(1) }, { size: 2n, root: root(2) }, [])).toBe(false)
  })
})

describe('growTree()', () => {
  test('finishes each full tile once, whatever the size of the appends, with the root over it', () => {
    const leaves = Array.from({ length: 66_100 }, (_, at) => leafHash(Buffer.from(`grown ${at}`)))
    const whole = growTree(emptyFront, leaves)
    let tree = emptyFront
    const tiles = []
    for (let at = 0, step = 1; at < leaves.length; at += step, step = (step * 7) % 1_301) {
      const grown = growTree(tree, leaves.slice(at, at + step))
      tree = grown
      tiles.push(...grown.tiles)
    }
    expect(tiles).toEqual(whole.tiles)
    expect(tree.edge).toEqual(appendLeaves(emptyTree, leaves))
    expect(tiles.map(({ level, n }) => `${level}/${n}`).slice(254)).toEqual(['0/254', '0/255', '1/0', '0/256', '0/257'])
    for (const { level, n, hashes, root, width } of tiles) {
      expect(width).toBe(256)
      expect(Buffer.compare(rootOf(hashes), root)).toBe(0)
      if (level === 0)
        expect(Buffer.concat(leaves.slice(Number(n) * 256, Number(n) * 256 + 256)).equals(hashes)).toBe(true)
    }
    expect(tree.front.map((row) => row.length)).toEqual([66_100 % 256, 258 % 256, 1])
  })

  test('goes on from unfinished tiles that were read back', () => {
    const leaves = Array.from({ length: 66_100 }, (_, at) => leafHash(Buffer.from(`grown ${at}`)))
    const before = growTree(emptyFront, leaves.slice(0, 65_999))
    const read = treeOfFront(
      65_999n,
      before.front.map((row) => Buffer.concat(row)),
    )
    expect(read.edge).toEqual(before.edge)
    const [a, b] = [before, read].map((tree) => growTree(tree, leaves.slice(65_999)))
    expect(hex(treeRoot(b?.edge ?? emptyTree))).toBe(hex(treeRoot(a?.edge ?? emptyTree)))
    expect(b?.tiles.map(({ root }) => hex(root))).toEqual(a?.tiles.map(({ root }) => hex(root)))
  })

  test('refuses unfinished tiles that do not fit the size', () => {
    expect(() => treeOfFront(3n, [Buffer.alloc(64)])).toThrow('level 0 has 64 bytes')
    expect(() => treeOfFront(256n, [Buffer.alloc(0)])).toThrow('levels are missing')
  })
})

describe('tilePath()', () => {
  test('spells the paths of C2SP tlog-tiles', () => {
    expect(tilePath({ level: 0, n: 1_234_067n, width: 256 })).toBe('tile/0/x001/x234/067')
    expect(tilePath({ level: 0, n: 273n, width: 112 })).toBe('tile/0/273.p/112')
    expect(tilePath({ level: 2, n: 0n, width: 1 })).toBe('tile/2/000.p/1')
  })
})
