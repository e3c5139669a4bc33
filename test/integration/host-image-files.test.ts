import { execFile, execFileSync } from 'node:child_process'
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  realpath,
  rm,
  stat,
  symlink,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ChainRequest, DetectedLayer } from '../../src/driver/images.ts'
import { ImageFiles } from '../../src/host/image-files.ts'
import { requireTool } from '../support/require-tool.ts'
import { type Qcow2Fields, qcow2Bytes } from '../unit/image-qcow2-bytes.ts'

const run = promisify(execFile)
const qemuImg = requireTool('qemu-utils')
const isRoot = process.getuid?.() === 0
const never = new AbortController().signal
const user = { uid: 12_345, gid: 12_346 }
const backingFormat = 0xe2792aca

let directory: string
let images: ImageFiles

beforeEach(async () => {
  directory = await realpath(await mkdtemp(join(tmpdir(), 'image-files-')))
  await chmod(directory, 0o755)
  images = new ImageFiles({ qemuUser: null, allowedRoots: [] })
})
afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

const at = (name: string): string => join(directory, name)

/** Writes a qcow2 header whose backing file has a recorded format unless that is null. */
async function qcow2(
  name: string,
  backing?: string,
  { format = 'qcow2', ...fields }: Qcow2Fields & { readonly format?: string | null } = {},
): Promise<string> {
  const extensions = backing === undefined || format === null ? [] : [{ magic: backingFormat, data: format }]
  const bytes = qcow2Bytes({ extensions, ...(backing === undefined ? {} : { backing: { name: backing } }), ...fields })
  await writeFile(at(name), bytes)
  await truncate(at(name), 262_144)
  return at(name)
}
const detect = (path: string, format: 'qcow2' | 'raw' = 'qcow2'): ChainRequest => ({
  given: [{ path, format }],
  terminated: false,
})
const read = async (request: ChainRequest): Promise<readonly DetectedLayer[]> => await images.readChain(request, never)
const paths = (layers: readonly DetectedLayer[]): readonly string[] => layers.map(({ path }) => path)

describe('ImageFiles.readChain()', () => {
  test('follows relative and absolute names to the end, with sizes and identities', async () => {
    await writeFile(at('base.raw'), Buffer.alloc(1_048_576))
    await qcow2('middle', 'base.raw', { format: 'raw', sizeBytes: 2_097_152n })
    const top = await qcow2('top', at('middle'))
    const layers = await read(detect(top))
    expect(layers.map(({ path, format, virtualSizeBytes }) => ({ path, format, virtualSizeBytes }))).toEqual([
      { path: top, format: 'qcow2', virtualSizeBytes: 1_073_741_824n },
      { path: at('middle'), format: 'qcow2', virtualSizeBytes: 2_097_152n },
      { path: at('base.raw'), format: 'raw', virtualSizeBytes: 1_048_576n },
    ])
    expect(layers[2]?.file).toEqual(await images.stat(at('base.raw')))
    expect(images.filesOpened).toBe(3)
  })

  test('takes given layers as they are and follows no header behind a stated end', async () => {
    const top = await qcow2('top', '/etc/shadow', { format: null })
    const base = await qcow2('base', 'absent')
    const given = [
      { path: top, format: 'qcow2' as const },
      { path: base, format: 'qcow2' as const },
    ]
    expect(paths(await read({ given, terminated: true }))).toEqual([top, base])
    await expect(read({ given, terminated: false })).rejects.toThrow(
      /follow backing file "absent" of image ".*base".*does not exist/,
    )
  })

  test('never looks into a raw image', async () => {
    const path = await qcow2('disguised', '/etc/shadow', { format: 'raw' })
    expect(await read(detect(path, 'raw'))).toMatchObject([{ path, format: 'raw', virtualSizeBytes: 262_144n }])
  })

  test('allows other directories only where they are configured, links included', async () => {
    await mkdir(at('pool'))
    await mkdir(at('vm'))
    const base = await qcow2('pool/base')
    await qcow2('vm/top', '../pool/base')
    await expect(read(detect(at('vm/top')))).rejects.toThrow(/lies outside the directories/)
    await symlink(base, at('vm/link'))
    await qcow2('vm/sly', 'link')
    await expect(read(detect(at('vm/sly')))).rejects.toThrow(/lies outside the directories/)
    images = new ImageFiles({ qemuUser: null, allowedRoots: [at('pool')] })
    expect(paths(await read(detect(at('vm/top'))))).toEqual([at('vm/top'), base])
  })

  const hostile: readonly (readonly [what: string, make: () => Promise<string>, message: RegExp])[] = [
    ['a loop of one', async () => await qcow2('self', 'self'), /it is a loop, ".*self" appears in it twice/],
    ['a loop of two', async () => (await qcow2('a', 'b'), await qcow2('b', 'a')), /it is a loop/],
    [
      'a loop through a link',
      async () => (await symlink('self', at('link')), await qcow2('self', 'link')),
      /same file as/,
    ],
    [
      'a backing file without a format',
      async () => await qcow2('top', 'base', { format: null }),
      /records no format.*formats are never guessed/,
    ],
    [
      'a format that is not served',
      async () => (await qcow2('base'), await qcow2('top', 'base', { format: 'vmdk' })),
      /its format "vmdk" is not served/,
    ],
    ['a backing file that is missing', async () => await qcow2('top', 'absent'), /"absent".*does not exist/],
    [
      'an absolute path outside',
      async () => await qcow2('top', '/etc/shadow', { format: 'raw' }),
      /"\/etc\/shadow" lies outside/,
    ],
    [
      'a way out by dots',
      async () => await qcow2('top', '../../../../etc/passwd', { format: 'raw' }),
      /lies outside|does not exist/,
    ],
    [
      'a JSON description',
      async () => await qcow2('top', 'json:{"file":"/etc/shadow"}', { format: 'raw' }),
      /JSON description/,
    ],
    ['a protocol', async () => await qcow2('top', 'nbd://host/x', { format: 'raw' }), /protocol "nbd"/],
    [
      'a FIFO',
      async () => (execFileSync('mkfifo', [at('fifo')]), await qcow2('top', 'fifo', { format: 'raw' })),
      /is a FIFO, it must be a regular file/,
    ],
    [
      'a directory',
      async () => (await mkdir(at('dir')), await qcow2('top', 'dir', { format: 'raw' })),
      /is a directory, it must be/,
    ],
    ['a device', async () => (await symlink('/dev/zero', at('zero')), at('zero')), /is a character device/],
    ['no image', async () => (await writeFile(at('text'), 'hello'), at('text')), /Cannot read image ".*text"/],
    ['an encrypted image', async () => await qcow2('crypt', undefined, { encryption: 1 }), /encrypted/],
    ['an empty file', async () => (await writeFile(at('empty'), ''), at('empty')), /Cannot read image/],
  ]

  test.each(hostile)('refuses %s, naming it', async (_what, make, message) => {
    const path = await make()
    const started = performance.now()
    await expect(read(detect(path))).rejects.toThrow(message)
    expect(performance.now() - started).toBeLessThan(500)
  })

  test('refuses a socket', async () => {
    const server = createServer().listen(at('socket'))
    await new Promise((resolve) => server.once('listening', resolve))
    await expect(read(detect(at('socket'), 'raw'))).rejects.toThrow(/is a socket/)
    await new Promise((resolve) => server.close(resolve))
  })

  test('takes a chain of 200 below the active image and refuses one more', async () => {
    for (let n = 0; n < 201; n += 1) await qcow2(`d${n}`, `d${n + 1}`)
    await qcow2('d201')
    await expect(read(detect(at('d0')))).rejects.toThrow(/deeper than 200 images/)
    expect(await read(detect(at('d1')))).toHaveLength(201)
  })

  test('stops at the signal', async () => {
    const path = await qcow2('top')
    await expect(images.readChain(detect(path), AbortSignal.abort())).rejects.toMatchObject({
      kind: 'operation_aborted',
    })
    expect(images.filesOpened).toBe(0)
  })
})

describe.skipIf(!qemuImg)('ImageFiles.createOverlay()', () => {
  const request = (name: string, more: object = {}) => ({
    path: at(name),
    virtualSizeBytes: 1_048_576n,
    backing: { path: at('base'), format: 'qcow2' as const },
    reuseExternal: false,
    ...more,
  })

  beforeEach(async () => {
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', at('base'), '1M'])
  })

  test('makes an image that names its base and that only its owner can read, without opening the base', async () => {
    await unlink(at('base'))
    const made = await images.createOverlay(request('o,1=x'), never)
    expect(made).toMatchObject({
      path: at('o,1=x'),
      format: 'qcow2',
      virtualSizeBytes: 1_048_576n,
      file: await images.stat(made.path),
    })
    expect((await stat(made.path)).mode & 0o777).toBe(0o600)
    const { stdout } = await run('qemu-img', ['info', '--output=json', made.path])
    expect(JSON.parse(stdout)).toMatchObject({
      'backing-filename': at('base'),
      'backing-filename-format': 'qcow2',
      'virtual-size': 1_048_576,
    })
  })

  test('fills an empty file and refuses one with content, a link and a missing directory', async () => {
    await writeFile(at('empty'), '')
    expect(await images.createOverlay(request('empty'), never)).toMatchObject({ path: at('empty') })
    await writeFile(at('full'), 'precious')
    await expect(images.createOverlay(request('full'), never)).rejects.toThrow(/exists and is not empty \(8 bytes\)/)
    expect((await stat(at('full'))).size).toBe(8)
    await symlink(at('elsewhere'), at('link'))
    await expect(images.createOverlay(request('link'), never)).rejects.toThrow(/symbolic link/)
    expect(await images.stat(at('elsewhere'))).toBeNull()
    await expect(images.createOverlay(request('no/where'), never)).rejects.toThrow(/does not exist/)
  })

  test('leaves nothing behind when qemu-img fails, is missing or takes too long', async () => {
    await expect(images.createOverlay(request('bad', { virtualSizeBytes: 2n ** 63n }), never)).rejects.toThrow(
      /^Cannot create overlay ".*bad": qemu-img says/,
    )
    const missing = new ImageFiles({ qemuUser: null, qemuImg: '/nonexistent/qemu-img' })
    await expect(missing.createOverlay(request('bad'), never)).rejects.toThrow(/Cannot create overlay/)
    await writeFile(at('slow'), '#!/bin/sh\nexec sleep 5\n', { mode: 0o755 })
    const slow = new ImageFiles({ qemuUser: null, qemuImg: at('slow') })
    await expect(slow.createOverlay(request('bad'), AbortSignal.timeout(100))).rejects.toMatchObject({
      kind: 'operation_timeout',
    })
    expect(await images.stat(at('bad'))).toBeNull()
  })

  test('reuses an overlay that the client made, when it is one of this base', async () => {
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', 'base', '-F', 'qcow2', at('mine')])
    const before = await images.stat(at('mine'))
    expect(await images.createOverlay(request('mine', { reuseExternal: true }), never)).toMatchObject({
      path: at('mine'),
      file: before,
    })
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', at('alone'), '1M'])
    await expect(images.createOverlay(request('alone', { reuseExternal: true }), never)).rejects.toThrow(
      /it states no backing file/,
    )
    const larger = request('mine', { reuseExternal: true, virtualSizeBytes: 2_097_152n })
    await expect(images.createOverlay(larger, never)).rejects.toThrow(/has 1048576 bytes, the disk has 2097152/)
    expect(await images.createOverlay(request('new', { reuseExternal: true }), never)).toMatchObject({
      path: at('new'),
    })
  })

  test.skipIf(!isRoot)(
    'gives the overlay to the QEMU user, as whom qemu-img runs, in a directory of root',
    async () => {
      const asRoot = new ImageFiles({ qemuUser: user })
      const { path } = await asRoot.createOverlay(request('theirs'), never)
      expect(await stat(path)).toMatchObject({ uid: user.uid, gid: user.gid })
      await mkdir(at('closed'), { mode: 0o700 })
      await expect(asRoot.createOverlay(request('closed/x'), never)).rejects.toThrow(
        /cannot pass through directory ".*closed"/,
      )
    },
  )
})

describe.skipIf(!isRoot)('ImageFiles.planAccess(), grant() and restore()', () => {
  beforeEach(() => {
    images = new ImageFiles({ qemuUser: user })
  })
  const owner = async (path: string): Promise<string> => {
    const { uid, gid, mode } = await stat(path)
    return `${uid}:${gid} ${(mode & 0o7777).toString(8)}`
  }
  async function file(name: string, { mode = 0o644, uid = 0, gid = 0 } = {}): Promise<string> {
    await writeFile(at(name), 'x')
    await chown(at(name), uid, gid)
    await chmod(at(name), mode)
    return at(name)
  }

  test('lend what QEMU cannot use, leave the rest, and take back what was lent', async () => {
    const mine = await file('mine')
    const readable = await file('readable')
    const theirs = await file('theirs', { mode: 0o600, ...user })
    const byGroup = await file('group', { mode: 0o660, gid: user.gid })
    const wanted = [
      { path: mine, write: true },
      { path: readable, write: false },
      { path: theirs, write: true },
      { path: byGroup, write: true },
    ]
    const changes = await images.planAccess(wanted)
    expect(await owner(mine)).toBe('0:0 644')
    expect(changes).toEqual([{ path: mine, fromUid: 0, fromGid: 0, fromMode: 0o644, toUid: user.uid, toGid: user.gid }])
    await images.grant(changes)
    await images.grant(changes)
    expect(await owner(mine)).toBe(`${user.uid}:${user.gid} 644`)
    expect(await images.planAccess(wanted)).toEqual([])
    await images.restore(changes)
    expect(await owner(mine)).toBe('0:0 644')
    expect(images.filesOpened).toBe(0)
  })

  test('change all or none', async () => {
    const [first, second] = [await file('first'), await file('second')]
    const changes = await images.planAccess([first, second].map((path) => ({ path, write: true })))
    await chown(second, 777, 777)
    await expect(images.grant(changes)).rejects.toThrow(/belongs to 777:777 now/)
    expect(await owner(first)).toBe('0:0 644')
  })

  test('leave alone what is gone or was given to somebody else meanwhile', async () => {
    const [gone, given] = [await file('gone'), await file('given')]
    const changes = await images.planAccess([gone, given].map((path) => ({ path, write: true })))
    await images.grant(changes)
    await unlink(gone)
    await chown(given, 777, 777)
    await images.restore(changes)
    expect(await owner(given)).toBe('777:777 644')
  })

  test('refuse a directory that QEMU cannot pass, and a file that even its owner cannot use', async () => {
    await mkdir(at('closed'), { mode: 0o700 })
    await file('closed/disk')
    await expect(images.planAccess([{ path: at('closed/disk'), write: true }])).rejects.toMatchObject({
      message: expect.stringMatching(/cannot pass through directory ".*closed" \(mode 0700\)/),
      subject: at('closed'),
    })
    const locked = await file('locked', { mode: 0o444 })
    await expect(images.planAccess([{ path: locked, write: true }])).rejects.toThrow(
      /mode 0444 does not let even its owner write/,
    )
    await expect(images.planAccess([{ path: at('absent'), write: true }])).rejects.toThrow(/does not exist/)
  })

  test('change nothing when QEMU runs as the user of the daemon', async () => {
    images = new ImageFiles({ qemuUser: null })
    expect(await images.planAccess([{ path: await file('mine', { mode: 0o600 }), write: true }])).toEqual([])
  })
})

test('ImageFiles.measure() and remove() work by the directory alone', async () => {
  await writeFile(at('sparse'), Buffer.alloc(4096, 1))
  await truncate(at('sparse'), 1_048_576)
  const measured = await images.measure(at('sparse'), 1_048_576n)
  expect(measured.physicalBytes).toBe(1_048_576n)
  expect(measured.allocationBytes).toBeLessThan(1_048_576n)
  await images.remove(at('sparse'))
  expect(await images.stat(at('sparse'))).toBeNull()
  await expect(images.remove(at('sparse'))).rejects.toThrow(/does not exist/)
  await mkdir(at('dir'))
  await expect(images.remove(at('dir'))).rejects.toThrow(/is a directory/)
  expect(images.filesOpened).toBe(0)
})
