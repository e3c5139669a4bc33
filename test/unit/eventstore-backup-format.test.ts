import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { openBackupDirectory, readManifest } from '../../src/eventstore/backup-directory.ts'
import { copiedLeaf } from '../../src/eventstore/backup-event.ts'
import { decodeManifest, encodeManifest, manifestFaults, manifestName } from '../../src/eventstore/backup-manifest.ts'
import { type BackupDamage, BackupDamagedError, readBackupFile } from '../../src/eventstore/backup-reader.ts'
import { CopyRowSplitter, copyEnd, copyHead, copyRowAt } from '../../src/eventstore/backup-row.ts'
import { lostRanges, surveyBackup } from '../../src/eventstore/backup-survey.ts'
import { eventLeaf } from '../../src/eventstore/event-leaf.ts'
import { sha256 } from '../../src/eventstore/sha256.ts'
import {
  backupLogId,
  changeFile,
  copyRow,
  eventRow,
  flip,
  int,
  makeBackup,
  scratchDirectory,
  writeSegment,
} from '../support/backup-kit.ts'

/** Where a backup is damaged, in words, or what its manifest is refused for. */
async function survey(dir: string): Promise<readonly string[]> {
  try {
    const { damages } = await surveyBackup(dir)
    return damages.map(({ file, what }) => `${file}: ${what}`)
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)]
  }
}

describe('readBackupFile()', () => {
  test('gives back every row of many pages, in order', async () => {
    await using dir = await scratchDirectory()
    const rows = Array.from({ length: 2_345 }, (_, at) => eventRow(at, 'x'.repeat(at)))
    const file = await writeSegment(dir.path, 'events', { rows })
    const found: Buffer[] = []
    let pages = 0
    for await (const page of readBackupFile(dir.path, file, { logId: backupLogId })) {
      pages += 1
      found.push(...page.rows.map(({ bytes }) => bytes))
      expect(Buffer.concat(page.rows.map(({ bytes }) => bytes)).equals(page.bytes)).toBe(true)
    }
    expect(pages).toBeGreaterThan(3)
    expect(found).toHaveLength(rows.length)
    expect(Buffer.concat(found).equals(Buffer.concat(rows))).toBe(true)
  })

  test('throws at the first damage where nobody listens', async () => {
    await using dir = await scratchDirectory()
    const file = await writeSegment(dir.path, 'events', { rows: [eventRow(0)] })
    await changeFile(join(dir.path, file.name), (bytes) => flip(bytes, 120, 3))
    const reading = Array.fromAsync(readBackupFile(dir.path, file, { logId: backupLogId }))
    await expect(reading).rejects.toThrow(BackupDamagedError)
  })

  test('names the positions of a damaged page, and gives those before and after it', async () => {
    await using dir = await scratchDirectory()
    const rows = Array.from({ length: 3_500 }, (_, at) => eventRow(at))
    const file = await writeSegment(dir.path, 'events', { rows })
    const bytes = await readFile(join(dir.path, file.name))
    const second = bytes.indexOf('page', bytes.indexOf('page') + 4)
    await writeFile(join(dir.path, file.name), flip(bytes, second + 70, 0))
    const damages: BackupDamage[] = []
    const options = { logId: backupLogId, onDamage: (damage: BackupDamage) => damages.push(damage) }
    const pages = await Array.fromAsync(readBackupFile(dir.path, file, options))
    expect(pages.flatMap((page) => page.rows)).toHaveLength(2_500)
    expect(damages).toEqual([
      {
        file: file.name,
        kind: 'events',
        what: `the page at byte ${second} was changed`,
        lost: { first: 1_000n, last: 1_999n },
      },
    ])
  })

  test.each([
    ['a page of rows that are not those of its kind', [copyRow([int(8, 0)])], /a row has 1 fields, it must have 9/],
    ['positions that do not follow each other', [eventRow(0), eventRow(2)], /row 1 is position 2, after 0/],
    [
      'a field of the wrong length',
      [copyRow([...Array(5).fill(int(8, 0)), int(4, 1), null, null, null])],
      /type_id has 8 bytes/,
    ],
  ])('refuses %s, though every hash fits', async (_what, rows, message) => {
    await using dir = await scratchDirectory()
    const file = await writeSegment(dir.path, 'events', { rows })
    await expect(Array.fromAsync(readBackupFile(dir.path, file, { logId: backupLogId }))).rejects.toThrow(message)
  })

  test('refuses a big text that is not the one its hash names', async () => {
    await using dir = await scratchDirectory()
    const file = await writeSegment(dir.path, 'blobs', { rows: [copyRow([Buffer.alloc(32), Buffer.from('x')])] })
    await expect(Array.fromAsync(readBackupFile(dir.path, file, { logId: backupLogId }))).rejects.toThrow(
      /is not that of its hash/,
    )
  })
})

describe('surveyBackup()', () => {
  test('finds nothing in a whole backup', async () => {
    await using dir = await scratchDirectory()
    await makeBackup(dir.path, { events: 700 })
    expect(await survey(dir.path)).toEqual([])
  })

  test('finds any bit that was turned, in any byte of any file', async () => {
    await using dir = await scratchDirectory()
    const manifest = await makeBackup(dir.path, { events: 3 })
    const names = [manifestName, ...manifest.files.map(({ name }) => name)]
    const missed: string[] = []
    const files = await Promise.all(names.map(async (name) => ({ name, bytes: await readFile(join(dir.path, name)) })))
    for (const { name, bytes } of files) {
      for (let at = 0; at < bytes.length; at += 1) {
        for (const bit of [at % 8, (at + 3) % 8]) {
          await writeFile(join(dir.path, name), flip(bytes, at, bit))
          const found = await survey(dir.path)
          if (!found.some((line) => line.includes(name)))
            missed.push(`${name}, byte ${at}, bit ${bit}: ${found.join()}`)
        }
      }
      await writeFile(join(dir.path, name), bytes)
    }
    expect(missed).toEqual([])
    expect(await survey(dir.path)).toEqual([])
  })

  test('finds every cut, addition, overwritten part and exchange of bytes', async () => {
    await using dir = await scratchDirectory()
    const manifest = await makeBackup(dir.path, { events: 300 })
    const names = [manifestName, ...manifest.files.map(({ name }) => name)]
    const change = fc.record({
      name: fc.constantFrom(...names),
      kind: fc.constantFrom('cut', 'add', 'zero', 'swap'),
      at: fc.nat(1_000_000),
      length: fc.integer({ min: 1, max: 400 }),
    })
    const check = fc.asyncProperty(change, async ({ name, kind, at, length }) => {
      const path = join(dir.path, name)
      const bytes = await readFile(path)
      const start = at % bytes.length
      const changed = Buffer.from(bytes)
      const part = changed.subarray(start, start + length)
      const result =
        kind === 'cut'
          ? bytes.subarray(0, start)
          : kind === 'add'
            ? Buffer.concat([bytes.subarray(0, start), Buffer.alloc(length, 7), bytes.subarray(start)])
            : (kind === 'zero' ? part.fill(0) : part.reverse(), changed)
      fc.pre(!result.equals(bytes))
      await writeFile(path, result)
      const found = await survey(dir.path)
      await writeFile(path, bytes)
      expect(found.some((line) => line.includes(name))).toBe(true)
    })
    await fc.assert(check, { numRuns: 300 })
  }, 60_000)

  test('names a missing segment and its positions, and puts ranges that touch together', async () => {
    await using dir = await scratchDirectory()
    const manifest = await makeBackup(dir.path, { events: 700 })
    const [first, second] = manifest.files
    await rm(join(dir.path, first?.name ?? ''))
    await rm(join(dir.path, second?.name ?? ''))
    const { damages } = await surveyBackup(dir.path)
    expect(damages.map(({ what }) => what)).toEqual(['it is missing', 'it is missing'])
    expect(lostRanges(damages)).toEqual([{ kind: 'events', first: 0n, last: 511n }])
  })

  test('finds two segments whose names were exchanged', async () => {
    await using dir = await scratchDirectory()
    const manifest = await makeBackup(dir.path, { events: 512 })
    const [a = '', b = ''] = manifest.files.map(({ name }) => join(dir.path, name))
    await rename(a, `${a}.x`)
    await rename(b, a)
    await rename(`${a}.x`, b)
    const { damages } = await surveyBackup(dir.path)
    expect(damages.map(({ what }) => what)).toEqual([
      expect.stringContaining('it holds events from 256 on'),
      expect.stringContaining('it holds events from 0 on'),
    ])
    expect(lostRanges(damages)).toEqual([{ kind: 'events', first: 0n, last: 511n }])
  })

  test('finds a page that was taken from another place, though it is whole in itself', async () => {
    await using dir = await scratchDirectory()
    const [one, two] = [
      await writeSegment(dir.path, 'events', { rows: [eventRow(0)] }),
      await writeSegment(dir.path, 'events', { rows: [eventRow(0, '{"other":1}')], firstKey: 0 }),
    ]
    await rename(join(dir.path, two.name), join(dir.path, one.name))
    await expect(Array.fromAsync(readBackupFile(dir.path, one, { logId: backupLogId }))).rejects.toThrow(
      /its SHA-256 is not that of the manifest/,
    )
  })

  test('finds an older manifest beside newer segments', async () => {
    await using dir = await scratchDirectory()
    await makeBackup(dir.path, { events: 300 })
    const older = await readFile(join(dir.path, manifestName))
    const newer = await makeBackup(dir.path, { events: 400 })
    const current = new Set(newer.files.map(({ name }) => name))
    const before = decodeManifest(older)
    for (const { name } of before.files) if (!current.has(name)) await rm(join(dir.path, name))
    await writeFile(join(dir.path, manifestName), older)
    const { damages } = await surveyBackup(dir.path)
    expect(lostRanges(damages)).toEqual([
      { kind: 'events', first: 256n, last: 299n },
      { kind: 'blobs', first: 0n, last: 1n },
    ])
  })
})

describe('decodeManifest()', () => {
  test('reads what encodeManifest() wrote, and refuses another format by name', async () => {
    await using dir = await scratchDirectory()
    const manifest = await makeBackup(dir.path, { events: 3 })
    expect(decodeManifest(Buffer.from(encodeManifest(manifest)))).toEqual(manifest)
    expect(await readManifest(dir.path)).toEqual(manifest)
    const newer = encodeManifest(Object.assign({}, manifest, { format: 2 }))
    expect(() => decodeManifest(Buffer.from(newer))).toThrow(
      'its format is 2, this program reads up to 1: a newer program',
    )
    const other = encodeManifest(Object.assign({}, manifest, { segmentRows: -1 }))
    expect(() => decodeManifest(Buffer.from(other))).toThrow(/^segmentRows: /)
  })

  test('is followed by manifestFaults(), which finds gaps and trees that do not fit', async () => {
    await using dir = await scratchDirectory()
    const manifest = await makeBackup(dir.path, { events: 700 })
    const [first, second, ...rest] = manifest.files
    expect(manifestFaults(manifest)).toEqual([])
    expect(manifestFaults({ ...manifest, files: first === undefined ? [] : [first, ...rest] })).toEqual([
      'no segment has positions 256 to 511',
    ])
    const exchanged = [first, second].map((file, at) => ({ ...file, tree: [second, first][at]?.tree }))
    expect(manifestFaults(Object.assign({}, manifest, { files: [...exchanged, ...rest] }))).toEqual([
      'the trees of its segments do not give the root of commit 700',
    ])
  })
})

describe('openBackupDirectory()', () => {
  test('removes what an interrupted backup left, and nothing else', async () => {
    await using dir = await scratchDirectory()
    const manifest = await makeBackup(dir.path, { events: 3 })
    await writeFile(join(dir.path, 'events-0.unfinished'), 'x')
    await writeSegment(dir.path, 'events', { rows: [eventRow(7)], firstKey: 7 })
    await writeFile(join(dir.path, 'README'), 'mine')
    expect(await openBackupDirectory(dir.path)).toEqual(manifest)
    expect(await survey(dir.path)).toEqual([])
    expect((await readFile(join(dir.path, 'README'))).toString()).toBe('mine')
    await expect(readFile(join(dir.path, 'events-0.unfinished'))).rejects.toThrow('ENOENT')
  })

  test('refuses a directory that holds something else, naming it', async () => {
    await using dir = await scratchDirectory()
    await writeFile(join(dir.path, 'photo.jpg'), 'x')
    await expect(openBackupDirectory(dir.path)).rejects.toThrow('it holds "photo.jpg" and no backup')
  })
})

describe('CopyRowSplitter', () => {
  test('finds the same rows however the bytes arrive', () => {
    const field = fc.option(fc.uint8Array({ maxLength: 40 }), { nil: null })
    const row = fc.array(field, { minLength: 3, maxLength: 3 }).map(copyRow)
    const cuts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 })
    const check = fc.property(fc.array(row), cuts, (rows, sizes) => {
      const bytes = Buffer.concat([copyHead, ...rows, copyEnd])
      const splitter = new CopyRowSplitter({ fields: 3 })
      const found: Buffer[] = []
      for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
        const size = sizes[turn % sizes.length] ?? 1
        for (const each of splitter.push(bytes.subarray(at, at + size))) found.push(Buffer.from(each.bytes))
        at += size
      }
      splitter.end()
      expect(found).toEqual(rows)
    })
    fc.assert(check)
  })

  test('says when the rows end in the middle', () => {
    const splitter = new CopyRowSplitter({ fields: 1 })
    const rows = [...splitter.push(Buffer.concat([copyHead, copyRow([int(4, 1)])]))]
    expect(rows).toHaveLength(1)
    expect(() => splitter.end()).toThrow('they end in the middle')
  })
})

describe('copiedLeaf()', () => {
  test('is the leaf of the same event, erased or not', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }).filter((name) => name.isWellFormed())
    const number = fc.nat(1_000_000)
    const event = fc.record({
      position: number,
      stream: text,
      revision: number,
      type: text,
      schema: fc.integer({ min: 1, max: 99 }),
      eventId: fc.uuid(),
      commitNo: number,
      epoch: number,
      recordedAtUs: number,
      data: fc.uint8Array(),
      meta: fc.uint8Array(),
    })
    const check = fc.property(event, fc.boolean(), (made, erased) => {
      const { position, revision, commitNo, recordedAtUs, data, meta } = made
      const id = Buffer.from(made.eventId.replaceAll('-', ''), 'hex')
      const leaf = eventLeaf({
        ...made,
        position: BigInt(position),
        revision: BigInt(revision),
        commitNo: BigInt(commitNo),
        recordedAtUs: BigInt(recordedAtUs),
      })
      const payload = erased ? [null, meta, sha256(data)] : [data, meta, null]
      const bytes = copyRow([
        ...[int(8, position), int(8, 5), int(8, revision), int(4, 6), int(8, commitNo), id, ...payload],
        ...[Buffer.from(made.stream), Buffer.from(made.type), int(4, made.schema)],
        ...[int(4, made.epoch), int(8, recordedAtUs), int(8, position), Buffer.alloc(32)],
      ])
      const row = copyRowAt(bytes, 0, { fields: 16 })
      expect('needed' in row).toBe(false)
      if (!('needed' in row)) expect(copiedLeaf(row).equals(Buffer.from(leaf))).toBe(true)
    })
    fc.assert(check)
  })
})
