import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { recogniseFormat } from '../../src/image/format-signatures.ts'
import { headerBytesNeeded } from '../../src/image/image-header.ts'
import { type HeaderRule, ImageHeaderError, headerRules } from '../../src/image/image-header-error.ts'
import { readImageHeader } from '../../src/image/read-image-header.ts'
import { type Qcow2Fields, qcow2Bytes } from './image-qcow2-bytes.ts'

const fileSizeBytes = 0x40000n
const backingFormat = 0xe2792aca
const dataFile = 0x44415441
const bitmaps = 0x23852875

function read(fields: Qcow2Fields) {
  return readImageHeader(qcow2Bytes(fields), { format: 'qcow2', fileSizeBytes })
}

function recording(name: string): Uint8Array {
  return readFileSync(new URL(`../../fixtures/images/${name}.header`, import.meta.url))
}

function refusal(action: () => unknown): ImageHeaderError {
  try {
    action()
  } catch (error) {
    if (error instanceof ImageHeaderError) return error
    throw error
  }
  throw new Error('it was not refused')
}

describe('headers that qemu-img 7.2 wrote', () => {
  const sizeBytes = 458_784n

  test('readImageHeader() reads version 2 with a backing file', () => {
    const header = readImageHeader(recording('qcow2-v2-backing'), { format: 'qcow2', fileSizeBytes: sizeBytes })
    expect(header).toEqual({
      format: 'qcow2',
      virtualSizeBytes: 1_073_741_824n,
      backing: { name: 'base.qcow2', format: 'qcow2' },
      dataFile: null,
      encrypted: false,
      clusterSizeBytes: 65_536,
      qcow2: {
        version: 2,
        encryption: null,
        compression: 'zlib',
        extendedL2: false,
        dirty: false,
        corrupt: false,
        dataFileRaw: false,
        internalSnapshots: 0,
        bitmaps: null,
      },
    })
  })

  test.each([
    ['qcow2-v3-backing', { backing: { name: 'base.qcow2', format: 'qcow2' }, virtualSizeBytes: 1_073_741_824n }],
    ['qcow2-v3-data-file', { dataFile: 'data.raw', qcow2: { dataFileRaw: true }, virtualSizeBytes: 16_777_216n }],
    ['qcow2-v3-luks', { encrypted: true, qcow2: { encryption: 'luks' }, virtualSizeBytes: 10_485_760n }],
    ['qcow2-v3-snapshot', { qcow2: { internalSnapshots: 1, bitmaps: 1 }, virtualSizeBytes: 67_108_864n }],
  ])('readImageHeader() reads %s', (name, facts) => {
    const header = readImageHeader(recording(name), { format: 'qcow2', fileSizeBytes: sizeBytes })
    expect(header).toMatchObject(facts)
    expect(header.qcow2?.version).toBe(3)
  })

  test.each(['qed', 'vmdk', 'vdi', 'vpc', 'vhdx', 'luks', 'parallels', 'qcow'])(
    'recogniseFormat() tells %s, readImageHeader() refuses it by name',
    (format) => {
      const bytes = recording(format)
      expect(recogniseFormat(bytes)).toBe(format)
      const error = refusal(() => readImageHeader(bytes, { format, fileSizeBytes: 512n }))
      expect(error.rule).toBe('format_not_served')
      expect(error.message).toContain(`"${format}"`)
    },
  )

  test('readImageHeader() names what a file looks like that is not the qcow2 it should be', () => {
    const error = refusal(() => readImageHeader(recording('vdi'), { format: 'qcow2', fileSizeBytes: 1024n }))
    expect(error.message).toBe(
      'Cannot read qcow2 header: the file does not begin as qcow2 must, it looks like vdi (offset 0)',
    )
  })

  test('readImageHeader() takes version 1 of qcow for another format', () => {
    expect(refusal(() => readImageHeader(recording('qcow'), { format: 'qcow2', fileSizeBytes: 560n })).rule).toBe(
      'version',
    )
  })
})

describe('raw', () => {
  test.each([
    [0n, 0n],
    [1n, 512n],
    [512n, 512n],
    [1000n, 1024n],
  ])('readImageHeader() shows a raw file of %d bytes as %d', (sizeBytes, virtualSizeBytes) => {
    expect(readImageHeader(new Uint8Array(0), { format: 'raw', fileSizeBytes: sizeBytes })).toMatchObject({
      format: 'raw',
      virtualSizeBytes,
      backing: null,
      qcow2: null,
    })
  })

  test('readImageHeader() follows nothing that a guest wrote into a raw image', () => {
    const header = readImageHeader(qcow2Bytes({ backing: { name: '/etc/shadow' } }), { format: 'raw', fileSizeBytes })
    expect(header.backing).toBeNull()
  })

  test('readImageHeader() refuses a format that does not exist', () => {
    expect(refusal(() => readImageHeader(new Uint8Array(8), { format: '__proto__', fileSizeBytes })).rule).toBe(
      'format_unknown',
    )
  })
})

describe('what an image may state', () => {
  test('readImageHeader() gives no format when the image records none', () => {
    expect(read({ backing: { name: 'base' } }).backing).toEqual({ name: 'base', format: null })
  })

  test('readImageHeader() treats a backing name of no bytes as no backing file', () => {
    expect(read({ backing: { name: '' } }).backing).toBeNull()
  })

  test('readImageHeader() accepts a backing name of 1023 bytes and one that ends with the first cluster', () => {
    const name = 'n'.repeat(1023)
    expect(read({ backing: { name } }).backing?.name).toBe(name)
    const end = { name: 'abc', offset: 509n }
    const small = { clusterBits: 9, sizeBytes: 512n, l1Entries: 1, refcountOffset: 512n, l1Offset: 1024n }
    expect(read({ ...small, backing: end }).backing?.name).toBe('abc')
    expect(refusal(() => read({ ...small, backing: { name: 'abcd', offset: 509n } })).rule).toBe('backing_name')
  })

  test('readImageHeader() ignores the name of a data file without its feature bit', () => {
    const extensions = [{ magic: dataFile, data: 'data.raw' }]
    expect(read({ extensions }).dataFile).toBeNull()
    expect(read({ extensions, incompatible: 4n }).dataFile).toBe('data.raw')
  })

  test('readImageHeader() skips extensions that it does not know', () => {
    const extensions = [
      { magic: 0x12345678, data: 'whatever' },
      { magic: backingFormat, data: 'raw' },
    ]
    expect(read({ extensions, backing: { name: 'base' } }).backing?.format).toBe('raw')
  })

  test('readImageHeader() reports dirty, corrupt, extended L2 and zstd', () => {
    expect(read({ incompatible: 0b11011n, compression: 1, l1Entries: 4 }).qcow2).toMatchObject({
      dirty: true,
      corrupt: true,
      extendedL2: true,
      compression: 'zstd',
    })
  })

  test('readImageHeader() counts no bitmaps when a program wrote without keeping them up to date', () => {
    const data = new Uint8Array(24)
    data[3] = 2
    const extensions = [{ magic: bitmaps, data }]
    expect(read({ extensions, autoclear: 1n }).qcow2?.bitmaps).toBe(2)
    expect(read({ extensions, autoclear: 0n }).qcow2?.bitmaps).toBeNull()
  })

  test('readImageHeader() names an unknown incompatible feature as the image does', () => {
    const data = new Uint8Array(48)
    data.set([0, 17, ...new TextEncoder().encode('time travel')])
    const error = refusal(() => read({ incompatible: 1n << 17n, extensions: [{ magic: 0x6803f857, data }] }))
    expect(error.message).toBe(
      'Cannot read qcow2 header: it needs the unknown incompatible feature "time travel" (bit 17) (offset 72)',
    )
  })
})

const max32 = 0xffff_ffff

/** Hostile headers and the rule that each breaks. */
const hostile: readonly (readonly [string, Qcow2Fields, HeaderRule])[] = [
  ['version 4', { version: 4 }, 'version'],
  ['cluster bits 8', { clusterBits: 8 }, 'cluster_bits'],
  ['cluster bits 22', { clusterBits: 22 }, 'cluster_bits'],
  ['cluster bits 2^32-1', { clusterBits: max32 }, 'cluster_bits'],
  ['extended L2 with small clusters', { clusterBits: 13, incompatible: 16n }, 'cluster_bits'],
  ['backing name length 2^32-1', { backing: { name: 'a', lengthBytes: max32 } }, 'backing_name'],
  ['backing name of 1024 bytes', { backing: { name: 'a'.repeat(1024) } }, 'backing_name'],
  ['backing name at 2^64-1', { backing: { name: 'a', offset: 2n ** 64n - 1n } }, 'backing_name'],
  ['backing name inside the header', { backing: { name: 'a', offset: 8n } }, 'backing_name'],
  ['backing name beyond the bytes', { backing: { name: 'a', offset: 5000n } }, 'truncated'],
  ['NUL in the backing name', { backing: { name: 'a\0b' } }, 'backing_name'],
  ['backing name that is not UTF-8', { backing: { name: Uint8Array.of(0x61, 0xff) } }, 'backing_name'],
  ['header length 2^32-1', { headerLength: max32 }, 'header_length'],
  ['header length 103', { headerLength: 103 }, 'header_length'],
  ['L1 of 2^32-1 entries', { l1Entries: max32 }, 'l1_table'],
  ['L1 too small for the size', { sizeBytes: 2n ** 40n }, 'l1_table'],
  ['L1 outside the file', { l1Offset: 0x1_0000_0000n }, 'l1_table'],
  ['L1 at 2^64-65536', { l1Offset: 2n ** 64n - 65_536n }, 'l1_table'],
  ['L1 not at a cluster', { l1Offset: 0x30001n }, 'l1_table'],
  ['L1 over the header', { l1Offset: 0n }, 'l1_table'],
  ['2^32-1 snapshots', { snapshots: max32, snapshotsOffset: 0x30000n }, 'snapshot_table'],
  ['snapshots outside the file', { snapshots: 65_536, snapshotsOffset: 0x30000n }, 'snapshot_table'],
  ['size 2^64-1', { sizeBytes: 2n ** 64n - 1n }, 'virtual_size'],
  ['size 2^63-1', { sizeBytes: 2n ** 63n - 1n }, 'l1_table'],
  ['encryption method 3', { encryption: 3 }, 'encryption_method'],
  ['compression type 2', { compression: 2 }, 'compression_type'],
  ['unknown feature', { incompatible: 1n << 63n }, 'features'],
  ['refcount order 7', { refcountOrder: 7 }, 'refcount'],
  ['2^32-1 refcount clusters', { refcountClusters: max32 }, 'refcount'],
  ['no refcount table', { refcountClusters: 0 }, 'refcount'],
  ['refcount table outside the file', { refcountOffset: 0x40000n }, 'refcount'],
  ['data file without a name', { incompatible: 4n }, 'data_file'],
  ['data file with an empty name', { incompatible: 4n, extensions: [{ magic: dataFile, data: '' }] }, 'data_file'],
  ['NUL in the name of the data file', { extensions: [{ magic: dataFile, data: 'a\0' }] }, 'data_file'],
  ['data file name of 1024 bytes', { extensions: [{ magic: dataFile, data: 'a'.repeat(1024) }] }, 'data_file'],
  ['extension of 2^32-1 bytes', { extensions: [{ magic: 7, data: '', lengthBytes: max32 }] }, 'extension'],
  [
    'extension that runs into the backing name',
    { backing: { name: 'base' }, extensions: [{ magic: 7, data: 'abc', lengthBytes: 99 }] },
    'extension',
  ],
  ['backing format of 16 bytes', { extensions: [{ magic: backingFormat, data: 'q'.repeat(16) }] }, 'extension'],
  [
    'two backing formats',
    {
      extensions: [
        { magic: backingFormat, data: 'raw' },
        { magic: backingFormat, data: 'qcow2' },
      ],
    },
    'extension',
  ],
  [
    '65 extensions',
    { extensions: Array.from({ length: 65 }, (_, magic) => ({ magic: magic + 1, data: '' })) },
    'extension',
  ],
  ['bitmaps extension of 8 bytes', { extensions: [{ magic: bitmaps, data: new Uint8Array(8) }] }, 'extension'],
  ['2^32-1 bitmaps', { extensions: [{ magic: bitmaps, data: new Uint8Array(24).fill(0xff) }] }, 'extension'],
]

describe('hostile headers', () => {
  test.each(hostile)('readImageHeader() refuses %s', (_name, fields, rule) => {
    const error = refusal(() => read(fields))
    expect(error.message).toMatch(/^Cannot read qcow2 header: /)
    expect(error.rule).toBe(rule)
  })

  test('readImageHeader() refuses a file that ends anywhere inside its header', () => {
    const whole = qcow2Bytes({ backing: { name: 'base' }, extensions: [{ magic: backingFormat, data: 'raw' }] })
    for (let lengthBytes = 0; lengthBytes < 140; lengthBytes += 1) {
      const error = refusal(() => readImageHeader(whole.subarray(0, lengthBytes), { format: 'qcow2', fileSizeBytes }))
      expect(headerRules).toContain(error.rule)
    }
  })

  test('readImageHeader() looks at no byte after the first 64 KiB', () => {
    const bytes = new Uint8Array(2 * 1024 * 1024)
    bytes.set(qcow2Bytes({ clusterBits: 21, refcountOffset: 0x200000n, l1Offset: 0x400000n }))
    new DataView(bytes.buffer).setBigUint64(8, BigInt(headerBytesNeeded))
    new DataView(bytes.buffer).setUint32(16, 4)
    bytes.set([0x62, 0x61, 0x73, 0x65], headerBytesNeeded)
    const error = refusal(() => readImageHeader(bytes, { format: 'qcow2', fileSizeBytes: 0x800000n }))
    expect(error.rule).toBe('truncated')
  })

  test('readImageHeader() gives a header within its bounds or an ImageHeaderError for a header with any bytes changed', () => {
    const whole = qcow2Bytes({ backing: { name: 'base' }, extensions: [{ magic: backingFormat, data: 'raw' }] })
    const change = fc.record({ offset: fc.nat(180), bytes: fc.uint8Array({ minLength: 1, maxLength: 8 }) })
    let accepted = 0
    fc.assert(
      fc.property(fc.array(change, { maxLength: 4 }), (changes) => {
        const bytes = whole.slice()
        for (const { offset, bytes: replacement } of changes) bytes.set(replacement, offset)
        accepted += isWithinBounds(bytes) ? 1 : 0
      }),
      { numRuns: 3000 },
    )
    expect(accepted).toBeGreaterThan(0)
  })

  test('readImageHeader() survives any bytes after the magic', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), (tail) => {
        isWithinBounds(Uint8Array.of(0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3, ...tail))
      }),
      { numRuns: 2000 },
    )
  })
})

/** False for a refusal; throws for anything else that is no sound header. */
function isWithinBounds(bytes: Uint8Array): boolean {
  try {
    const header = readImageHeader(bytes, { format: 'qcow2', fileSizeBytes })
    expect(header.virtualSizeBytes).toBeLessThan(2n ** 63n)
    expect(Buffer.byteLength(header.backing?.name ?? '')).toBeLessThanOrEqual(1023)
    expect(header.backing?.name ?? '').not.toContain('\0')
    return true
  } catch (error) {
    if (!(error instanceof ImageHeaderError)) throw error
    expect(headerRules).toContain(error.rule)
    return false
  }
}
