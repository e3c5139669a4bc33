import { execFileSync } from 'node:child_process'
import { closeSync, cpSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import * as v from 'valibot'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { headerBytesNeeded, type ImageHeader } from '../../src/image/image-header.ts'
import { ImageHeaderError } from '../../src/image/image-header-error.ts'
import { parseBackingFormat } from '../../src/image/parse-backing-format.ts'
import { parseBackingName } from '../../src/image/parse-backing-name.ts'
import { readImageHeader } from '../../src/image/read-image-header.ts'
import { corporaPath, requireTool } from '../support/require-tool.ts'

function readFile(path: string, format: string): ImageHeader {
  const bytes = new Uint8Array(headerBytesNeeded)
  const descriptor = openSync(path, 'r')
  const lengthBytes = readSync(descriptor, bytes)
  closeSync(descriptor)
  return readImageHeader(bytes.subarray(0, lengthBytes), {
    format,
    fileSizeBytes: statSync(path, { bigint: true }).size,
  })
}

const secret = ['--object', 'secret,id=s0,data=secret']

/** Images as qemu-img makes them: arguments after `create -f qcow2`, then what the header must say. */
const images: readonly (readonly [string, readonly string[], Record<string, unknown>])[] = [
  ['version 2', ['-o', 'compat=0.10', 'v2', '3G'], { virtualSizeBytes: 3_221_225_472n, qcow2: { version: 2 } }],
  ['version 3', ['v3', '3G'], { virtualSizeBytes: 3_221_225_472n, qcow2: { version: 3 }, backing: null }],
  ['an empty disk', ['empty', '0'], { virtualSizeBytes: 0n }],
  ['the largest disk of 64 KiB clusters', ['large', '2P'], { virtualSizeBytes: 2n ** 51n }],
  ['clusters of 512 bytes', ['-o', 'cluster_size=512', 'c9', '64M'], { clusterSizeBytes: 512 }],
  ['clusters of 2 MiB', ['-o', 'cluster_size=2M', 'c21', '64M'], { clusterSizeBytes: 2_097_152 }],
  ['extended L2 entries', ['-o', 'extended_l2=on,cluster_size=16k', 'l2', '64M'], { qcow2: { extendedL2: true } }],
  ['zstd', ['-o', 'compression_type=zstd', 'zstd', '1M'], { qcow2: { compression: 'zstd' } }],
  ['refcounts of 1 bit', ['-o', 'refcount_bits=1', 'rc1', '1M'], { virtualSizeBytes: 1_048_576n }],
  ['preallocated metadata', ['-o', 'preallocation=metadata', 'pre', '16M'], { virtualSizeBytes: 16_777_216n }],
  [
    'luks inside',
    [...secret, '-o', 'encrypt.format=luks,encrypt.key-secret=s0,encrypt.iter-time=50', 'luks', '1M'],
    { encrypted: true, qcow2: { encryption: 'luks' } },
  ],
  ['a data file', ['-o', 'data_file=outside.raw', 'outside', '1M'], { dataFile: 'outside.raw' }],
  [
    'a raw data file',
    ['-o', 'data_file=outside2.raw,data_file_raw=on', 'outside2', '1M'],
    { dataFile: 'outside2.raw', qcow2: { dataFileRaw: true } },
  ],
  [
    'a backing file, version 2',
    ['-o', 'compat=0.10', '-F', 'qcow2', '-b', 'v2', 'over2'],
    { virtualSizeBytes: 3_221_225_472n, backing: { name: 'v2', format: 'qcow2' } },
  ],
  [
    'a backing file, clusters of 512 bytes',
    ['-o', 'cluster_size=512', '-u', '-F', 'raw', '-b', 'a/'.repeat(90), 'over9', '1M'],
    { backing: { name: 'a/'.repeat(90), format: 'raw' } },
  ],
  [
    'a backing name of 1023 bytes',
    ['-u', '-F', 'raw', '-b', 'n'.repeat(1023), 'long', '1M'],
    { backing: { name: 'n'.repeat(1023), format: 'raw' } },
  ],
  [
    'a protocol name',
    ['-u', '-F', 'raw', '-b', 'nbd://h/x', 'nbd', '1M'],
    { backing: { name: 'nbd://h/x', format: 'raw' } },
  ],
]

describe.skipIf(!requireTool('qemu-utils'))('images made by qemu-img', () => {
  let directory = ''
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'chronovisor-images-'))
  })
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  const qemuImg = (...args: readonly string[]) =>
    runAgain(() =>
      execFileSync('qemu-img', args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000 }),
    )

  test.each(images)('readImageHeader() reads %s', (_name, args, facts) => {
    qemuImg('create', '-q', '-f', 'qcow2', ...args)
    const name = args.findLast((arg, index) => index > args.length - 3 && !/^[0-9]+[MGP]?$/.test(arg)) ?? ''
    expect(readFile(join(directory, name), 'qcow2')).toMatchObject(facts)
  })

  test('readImageHeader() counts internal snapshots and persistent bitmaps', () => {
    qemuImg('create', '-q', '-f', 'qcow2', 'inner', '1M')
    qemuImg('snapshot', '-c', 'one', 'inner')
    qemuImg('snapshot', '-c', 'two', 'inner')
    qemuImg('bitmap', '--add', 'inner', 'dirty')
    expect(readFile(join(directory, 'inner'), 'qcow2').qcow2).toMatchObject({ internalSnapshots: 2, bitmaps: 1 })
  })

  test('readImageHeader() gives raw files the size that qemu-img states', () => {
    qemuImg('create', '-q', '-f', 'raw', 'plain', '1000')
    const stated = v.parse(
      v.object({ 'virtual-size': v.number() }),
      JSON.parse(qemuImg('info', '--output=json', '-f', 'raw', 'plain').toString()),
    )
    expect(readFile(join(directory, 'plain'), 'raw').virtualSizeBytes).toBe(BigInt(stated['virtual-size']))
  })

  test('readImageHeader() refuses a qcow2 image whose end was cut off', () => {
    qemuImg('create', '-q', '-f', 'qcow2', 'cut', '1G')
    execFileSync('truncate', ['-s', '196608', join(directory, 'cut')])
    expect(() => readFile(join(directory, 'cut'), 'qcow2')).toThrow(
      'the L1 table lies at 196608, the file ends at 196608',
    )
  })
})

const corpusLayer = v.object({
  path: v.nullable(v.string()),
  format: v.nullable(v.string()),
  type: v.string(),
  capacity: v.number(),
  encryption: v.boolean(),
  backingStoreRaw: v.nullable(v.string()),
  backingStoreRawFormat: v.object({ name: v.nullable(v.string()) }),
  dataFileRaw: v.optional(v.string()),
})

const corpus = v.object({
  cases: v.array(
    v.object({
      id: v.string(),
      kind: v.string(),
      prepare: v.optional(v.unknown()),
      backing: v.optional(v.string()),
      expectedChain: v.optional(v.array(corpusLayer)),
    }),
  ),
})

describe.skipIf(!requireTool('corpora'))('the corpus of chains', () => {
  let scratch = ''
  let directory = ''
  let cases: v.InferOutput<typeof corpus>['cases'] = []
  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), 'chronovisor-corpus-'))
    const source = corporaPath()
    if (statSync(source).isDirectory()) cpSync(join(source, 'chains'), join(scratch, 'chains'), { recursive: true })
    else execFileSync('tar', ['-xzf', source, '-C', scratch, '--wildcards', '*chains/*'])
    const found = execFileSync('find', [scratch, '-name', 'cases.json']).toString().trim().split('\n')
    cases = found.flatMap((file) => v.parse(corpus, JSON.parse(readFileSync(file, 'utf8'))).cases)
    directory = dirname(dirname(found[0] ?? ''))
  })
  afterAll(() => rmSync(scratch, { recursive: true, force: true }))

  const localPath = (path: string) => path.replace('ABS_SRCDIR/virstoragetestdata', join(directory, 'shared'))

  test('readImageHeader() and parseBackingName() read every layer as stated', () => {
    let layersRead = 0
    for (const { id, kind, prepare, expectedChain } of cases) {
      if (kind !== 'chain-metadata' || prepare !== undefined || expectedChain === undefined) continue
      for (const [index, layer] of expectedChain.entries()) {
        if (layer.path === null || layer.type !== 'file' || (layer.format !== 'qcow2' && layer.format !== 'raw'))
          continue
        const header = readFile(localPath(layer.path), layer.format)
        layersRead += 1
        expect(header.backing?.name ?? null, id).toBe(layer.backingStoreRaw)
        expect(header.encrypted, id).toBe(layer.encryption)
        if (layer.format === 'qcow2') expect(header.virtualSizeBytes, id).toBe(BigInt(layer.capacity))
        if (layer.dataFileRaw !== undefined) expect(header.dataFile, id).toBe(layer.dataFileRaw)
        if (header.backing === null) continue
        const format = parseBackingFormat(header.backing.format)
        expect(format.kind === 'format' ? format.format : null, id).toBe(layer.backingStoreRawFormat.name)
        const next = expectedChain[index + 1]
        if (next?.type === 'file') {
          expect(parseBackingName(header.backing.name, layer.path), id).toEqual({ kind: 'file', path: next.path })
        }
      }
    }
    expect(layersRead).toBeGreaterThan(10)
  })

  test('readImageHeader() refuses the image whose data file has no name', () => {
    expect(() => readFile(join(directory, 'shared/images/datafile-emptystr.qcow2'), 'qcow2')).toThrow(ImageHeaderError)
  })

  test('parseBackingName() follows plain names only', () => {
    const strings = cases.filter(({ kind }) => kind === 'backing-string-parse')
    expect(strings.length).toBeGreaterThan(10)
    for (const { id, backing = '' } of strings) {
      const isPlain = !/^[a-z+]+:/.test(backing)
      expect(parseBackingName(backing, '/d/image').kind, id).toBe(isPlain ? 'file' : 'unsupported')
    }
  })
})

/** qemu-img times key derivation by its own processor time, and gives up where a busy machine gives it none to speak of. */
function runAgain<T>(command: () => T, triesLeft = 5): T {
  try {
    return command()
  } catch (error) {
    if (triesLeft === 0 || !String(error).includes('accurate CPU usage')) throw error
    return runAgain(command, triesLeft - 1)
  }
}
