import { createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { blockJobs, blockJobsTable } from '../../projections/block-jobs.ts'
import { claims, claimsTable } from '../../projections/claims.ts'
import { chooseCommit, choosePull } from '../../src/commands/choose-block-job.ts'
import { choosePorts } from '../../src/commands/choose-ports.ts'
import { defaultEmulator } from '../../src/commands/default-emulator.ts'
import { chainOfDisk, findLayer } from '../../src/commands/find-layer.ts'
import { imageClaims } from '../../src/commands/image-claims.ts'
import { JobEnds } from '../../src/commands/job-ends.ts'
import { chainRequestOf, disksWithImage } from '../../src/commands/known-chains.ts'
import { Texts } from '../../src/commands/texts.ts'
import { parseDomain } from '../../src/conf/parse-domain.ts'
import { newFact } from '../../src/events/catalogue.ts'
import type { Layer } from '../../src/model/chain.ts'
import { sha256 } from '../../src/util/sha256.ts'
import { commitOf, definitionOf, FakeMachine } from '../support/fake-host.ts'
import { MemoryRows } from '../support/memory-rows.ts'
import { recordedFact } from '../support/recorded.ts'

const file = { device: 1n, inode: 2n, sizeBytes: 3n, mtimeNs: 4n, ctimeNs: 5n }
function layer(index: number): Layer {
  return { index, path: `/l${index}`, format: 'qcow2', virtualSizeBytes: 1n, file, createdBy: 'detection' }
}
const layers = [4, 3, 2, 1].map(layer)
const chain = { target: 'vda', layers }

describe('chainOfDisk()', () => {
  test('finds a disk by its target or by the path of its active image', () => {
    const byDisk = { vda: layers, vdb: [layer(9)] }
    expect(chainOfDisk(byDisk, 'vda').layers).toBe(layers)
    expect(chainOfDisk(byDisk, '/l9').target).toBe('vdb')
    expect(() => chainOfDisk(byDisk, '/l3')).toThrow("disk '/l3' not found in domain")
    expect(() => chainOfDisk(byDisk, 'constructor')).toThrow("disk 'constructor' not found in domain")
  })
})

describe('findLayer()', () => {
  test('finds a layer by its path or by the index that the live definition shows', () => {
    expect(findLayer(chain, 'vda[2]')).toBe(layers[2])
    expect(findLayer(chain, '/l3')).toBe(layers[1])
  })

  test.each(['vdb[2]', 'vda[7]', '/other', 'vda[02]', 'vda'])('refuses %s, naming what there is', (wanted) => {
    expect(() => findLayer(chain, wanted)).toThrow(
      `Cannot find image "${wanted}" in the chain of disk "vda": its layers are vda[4] /l4, vda[3] /l3`,
    )
  })
})

describe('chooseCommit()', () => {
  const choose = (change: Parameters<typeof commitOf>[1]) => {
    const { kind, top, base, written } = chooseCommit(chain, commitOf('', { active: false, ...change }))
    return [kind, top.index, base?.index, written.map((one) => one.index)]
  }

  test.each([
    [{ active: true }, ['active_commit', 4, 1, [1]]],
    [{ active: true, shallow: true }, ['active_commit', 4, 3, [3]]],
    [{ active: true, base: '/l2' }, ['active_commit', 4, 2, [2]]],
    [{ top: '/l3' }, ['commit', 3, 1, [1, 4]]],
    [{ top: '/l3', shallow: true }, ['commit', 3, 2, [2, 4]]],
    [{ top: 'vda[2]', base: 'vda[1]' }, ['commit', 2, 1, [1, 3]]],
  ] as const)('of %j works on the layers %j', (change, chosen) => {
    expect(choose(change)).toEqual(chosen)
  })

  test.each([
    [{}, 'its top is the active image, which needs the active flag'],
    [{ active: true, top: '/l3' }, "active commit requested but '/l3' is not active"],
    [{ top: '/l1' }, 'there is no image below top "/l1" to commit into'],
    [{ top: '/l2', base: '/l3' }, 'there is no image below top "/l2" to commit into'],
    [{ top: '/l2', base: '/l2' }, 'there is no image below top "/l2" to commit into'],
    [{ top: '/nope' }, 'Cannot find image "/nope"'],
  ])('refuses %j', (change, says) => {
    expect(() => choose(change)).toThrow(says)
  })
})

describe('choosePull()', () => {
  test('pulls everything, or down to above the base', () => {
    expect(choosePull(chain, null)).toMatchObject({ kind: 'pull', top: layers[0], base: null, written: [layers[0]] })
    expect(choosePull(chain, 'vda[2]')).toMatchObject({ base: layers[2] })
    expect(() => choosePull(chain, '/l4')).toThrow('base "/l4" is the active image itself')
  })

  test('refuses a drive without a medium', () => {
    expect(() => choosePull({ target: 'sda', layers: [] }, null)).toThrow('disk "sda" has no medium')
  })
})

describe('imageClaims()', () => {
  test('claims what is written alone, what is read with others, and each file once', () => {
    const definition = parseDomain(
      definitionOf('web', {
        disks: { vda: '/a', vdb: '/s' },
        devices:
          "<disk type='file' device='cdrom'><source file='/iso'/><target dev='sda' bus='sata'/><readonly/></disk>",
      }).replace("<target dev='vdb'", "<shareable/><target dev='vdb'"),
    )
    const one = (index: number, path: string) => ({ index, path, format: 'qcow2' as const })
    const disks = [
      { target: 'vda', readOnly: false, layers: [one(1, '/a'), one(2, '/base')] },
      { target: 'vdb', readOnly: false, layers: [one(3, '/s'), one(4, '/base')] },
      { target: 'sda', readOnly: true, layers: [one(5, '/iso')] },
    ]
    expect(imageClaims('u', { definition, disks }).map(({ subject, mode }) => [subject, mode])).toEqual([
      ['/a', 'exclusive'],
      ['/base', 'shared'],
      ['/s', 'shared'],
      ['/iso', 'shared'],
    ])
  })
})

describe('chainRequestOf()', () => {
  test('takes stated layers as given, and ends where the definition ends', () => {
    const disks = (backing: string) =>
      disksWithImage(parseDomain(definitionOf('web').replace('</disk>', `${backing}</disk>`))).map(chainRequestOf)
    const top = { path: '/images/web.qcow2', format: 'qcow2' }
    expect(disks('')).toEqual([{ given: [top], terminated: false }])
    expect(disks('<backingStore/>')).toEqual([{ given: [top], terminated: true }])
    const below = "<backingStore type='file'><format type='raw'/><source file='/b'/>"
    expect(disks(`${below}</backingStore>`)).toEqual([
      { given: [top, { path: '/b', format: 'raw' }], terminated: false },
    ])
    expect(disks(`${below}<backingStore/></backingStore>`)).toEqual([
      { given: [top, { path: '/b', format: 'raw' }], terminated: true },
    ])
    expect(() => disks("<backingStore type='file'><format type='vmdk'/><source file='/b'/></backingStore>")).toThrow(
      'images of format "vmdk" are not served, allowed are qcow2 and raw',
    )
  })
})

describe('defaultEmulator()', () => {
  const found = (list: readonly string[]) => ({
    driver: Object.assign(new FakeMachine().boot().driver, {
      kind: 'qemu' as const,
      listEmulators: () => Promise.resolve(list),
    }),
  })

  test('is the one for the architecture, else the first of the host', async () => {
    const host = found(['/usr/bin/qemu-system-x86_64', '/usr/bin/qemu-system-i386'])
    await expect(defaultEmulator(host, 'i686')).resolves.toBe('/usr/bin/qemu-system-i386')
    await expect(defaultEmulator(host, undefined)).resolves.toBe('/usr/bin/qemu-system-x86_64')
    await expect(defaultEmulator(host, 'riscv64')).rejects.toThrow(
      'Cannot choose an emulator for architecture "riscv64": none is installed, found are /usr/bin/qemu-system-x86_64',
    )
    await expect(defaultEmulator(found([]), undefined)).rejects.toThrow('none is installed on this host')
  })
})

describe('choosePorts()', () => {
  const vnc = (attributes: string) =>
    parseDomain(definitionOf('web', { devices: `<graphics type='vnc' ${attributes}/>` }))
  const hostWith = (taken: readonly number[], last: number) => {
    const models = new MemoryRows([claims])
    for (const [at, port] of taken.entries()) {
      const data = { kind: 'port', subject: String(port), domain: 'other', mode: 'exclusive' } as const
      models.apply(recordedFact(newFact('ClaimTaken', data), { stream: `port-${port}`, position: at }))
    }
    const rows = models.rows(claimsTable)
    const { reads } = new FakeMachine().boot().host
    const own = Object.assign(reads, {
      holdersOf: (kind: string, subject: string) => rows.by('by_subject', `${kind}/${subject}`),
    })
    return { reads: own, vncPorts: { first: 45_900, last } }
  }

  test('takes the stated port as it is, and the first that nobody claims or listens on for auto', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => void server.listen({ host: '127.0.0.1', port: 45_901 }, resolve))
    try {
      const host = hostWith([45_900], 45_910)
      await expect(choosePorts(host, vnc("port='5999' autoport='no'"))).resolves.toEqual([5999])
      await expect(choosePorts(host, vnc("port='-1' autoport='yes'"))).resolves.toEqual([45_902])
      await expect(choosePorts(host, parseDomain(definitionOf('web')))).resolves.toEqual([])
    } finally {
      server.close()
    }
  })

  test('says when none is left', async () => {
    await expect(choosePorts(hostWith([45_900], 45_900), vnc("port='-1' autoport='yes'"))).rejects.toThrow(
      'Cannot find a port for a VNC display: all from 45900 to 45900 are in use',
    )
  })
})

describe('Texts', () => {
  const load = (read: (hash: string) => string) => ({
    read: (hash: string) => Promise.resolve(Buffer.from(read(hash))),
  })

  test('answers at once what it knows, loads what it does not, and forgets the least used', async () => {
    const loaded: string[] = []
    const texts = new Texts(
      load((hash) => {
        loaded.push(hash)
        return `text of ${hash}`
      }),
      { maxBytes: 20, maxParsed: 4 },
    )
    texts.keep('a', '0123456789')
    texts.keep('b', '0123456789')
    expect(texts.get('a')).toBe('0123456789')
    texts.keep('c', '01234')
    expect(texts.get('a')).toBe('0123456789')
    expect(texts.get('b')).toBeInstanceOf(Promise)
    await texts.get('b')
    expect(loaded).toContain('b')
  })

  test('parses a definition once', async () => {
    let reads = 0
    const xml = definitionOf('web')
    const texts = new Texts(
      load(() => {
        reads++
        return xml
      }),
      { maxBytes: 1, maxParsed: 1 },
    )
    const first = await texts.definition(sha256(xml))
    expect(await texts.definition(sha256(xml))).toBe(first)
    expect(reads).toBe(1)
    await texts.definition('other')
    expect(await texts.definition(sha256(xml))).not.toBe(first)
  })
})

describe('JobEnds', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  const requested = newFact('BlockJobRequested', {
    jobId: 'j',
    disk: 'vda',
    kind: 'pull',
    base: -1,
    top: 1,
    onReady: 'keep',
    bytesPerSecond: 0n,
    owners: [],
  })
  const failed = newFact('BlockJobFailed', { jobId: 'j', error: 'no space' })

  test('answers when the job has an outcome in the log, at once where it has one already', async () => {
    const models = new MemoryRows([blockJobs])
    const ends = new JobEnds(models.rows(blockJobsTable))
    models.apply(recordedFact(requested, { stream: 'domain-u', position: 0 }))
    const both = [ends.wait('j', 1_000), ends.wait('j', 1_000)]
    ends.noteCommit('j')
    models.apply(recordedFact(failed, { stream: 'domain-u', position: 1 }))
    ends.noteCommit('j')
    await expect(Promise.all(both)).resolves.toMatchObject([{ state: 'failed' }, { error: 'no space' }])
    await expect(ends.wait('j', 1_000)).resolves.toMatchObject({ state: 'failed' })
    expect(vi.getTimerCount()).toBe(0)
  })

  test('gives up after the limit, and says that the job goes on', async () => {
    const ends = new JobEnds(new MemoryRows([blockJobs]).rows(blockJobsTable))
    const waiting = expect(ends.wait('j', 60_000)).rejects.toMatchObject({
      kind: 'operation_timeout',
      message: 'The block job j did not end within 60 s; what was asked for is recorded and will be carried out',
    })
    await vi.advanceTimersByTimeAsync(60_000)
    await waiting
  })
})
