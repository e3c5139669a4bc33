import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { errorCode } from '../../src/protocol/error-codes.ts'
import { remoteProcedures } from '../../src/protocol/procedure-table.ts'
import { capture } from '../support/capture.ts'
import { copyGuestDisk, FaultLane, guestXml } from '../support/fault-lane.ts'
import { requireTool } from '../support/require-tool.ts'
import { RpcClient } from '../support/rpc-client.ts'
import { errorOf } from '../support/rpc-expect.ts'

const canRun = requireTool('qemu-system-x86') && requireTool('qemu-utils') && requireTool('libvirt-clients')

const good = guestXml('good', {})
const bytes = (text: string): Buffer => Buffer.from(text, 'utf8')

/** Documents that are not XML, the error code that they are refused with, and words that its text must have. */
const malformed: Readonly<Record<string, readonly [Buffer, number, RegExp]>> = {
  'two roots': [bytes(`${good}${good}`), errorCode.xmlDetail, /root|after/i],
  'text after the root': [bytes(`${good}more`), errorCode.xmlDetail, /after|root/i],
  'a NUL': [bytes(good.replace('good', 'go\0od')), errorCode.xmlDetail, /character|NUL|U\+0000/i],
  'an undefined entity': [bytes(good.replace('good', '&nbsp;')), errorCode.xmlDetail, /nbsp/],
  'a DOCTYPE': [bytes(`<!DOCTYPE domain [<!ENTITY a "b">]>${good}`), errorCode.xmlDetail, /DOCTYPE/],
  'nothing at all': [bytes(''), errorCode.xmlDetail, /./],
  'a tag that never ends': [bytes('<domain><name>x</name>'), errorCode.xmlDetail, /./],
}

describe.skipIf(!canRun)('bad input', { timeout: 60_000 }, () => {
  let lane: FaultLane
  let client: RpcClient
  beforeAll(async () => {
    lane = await FaultLane.open()
    client = await RpcClient.open(lane.daemon.socketPath())
  })
  afterAll(async () => {
    await client[Symbol.asyncDispose]()
    await lane[Symbol.asyncDispose]()
  })

  const define = async (xml: Buffer): Promise<unknown> => await client.call(remoteProcedures.domainDefineXml, { xml })
  /** Everything that the log holds beside refusals: what a refused command must not change. */
  const state = async (): Promise<unknown> =>
    await lane.rows(
      `select count(*)::int as events from event join event_type using (type_id) where name not in ('CommandRefused', 'EmulatorProbed', 'HostFactsObserved')`,
    )
  const refusals = async (): Promise<number> => {
    const rows = await lane.rows(
      `select count(*)::int as n from event join event_type using (type_id) where name = 'CommandRefused'`,
    )
    return Number(rows[0]?.['n'])
  }
  /** Does what must be refused; gives the error, after making sure that nothing but the refusal was recorded. */
  const refused = async (act: () => Promise<unknown>): Promise<readonly [number, number, string | null]> => {
    const [before, count] = [await state(), await refusals()]
    const error = await errorOf(act())
    expect(await state(), 'nothing was changed').toEqual(before)
    expect(await refusals(), 'CommandRefused was recorded').toBe(count + 1)
    return error
  }
  const defineFile = async (name: string, xml: string): Promise<string> => {
    writeFileSync(lane.image(`${name}.xml`), xml)
    const { status, err } = await lane.virsh('define', lane.image(`${name}.xml`))
    return status === 0 ? '' : err
  }
  const start = async (name: string): Promise<string> => {
    const { status, err } = await lane.virsh('start', name)
    return status === 0 ? '' : err
  }

  test.each(Object.entries(malformed))(
    'a definition with %s is refused as XML, recorded, and changes nothing',
    async (_name, [xml, code, words]) => {
      const [found, , message] = await refused(async () => await define(xml))
      expect(found).toBe(code)
      expect(message).toMatch(words)
    },
  )

  test('a definition that is not UTF-8 is refused, and changes nothing', async () => {
    const before = await state()
    const xml = Buffer.concat([bytes('<domain><name>a'), Buffer.from([0xc3, 0x28]), bytes('</name></domain>')])
    const [code, , message] = await errorOf(define(xml))
    expect([code, message]).toEqual([errorCode.xmlDetail, expect.stringMatching(/UTF-8/)])
    expect(await state()).toEqual(before)
  })

  test('a definition of 4 MiB + 1 is refused for its size and the connection stays; of 1 MiB it is taken', async () => {
    const before = await state()
    // Good but for its size: nothing else can be what it is refused for.
    const padded = (size: number): Buffer => Buffer.concat([bytes(good), Buffer.alloc(size - bytes(good).length, 0x20)])
    const [code] = await errorOf(
      client.callRaw(remoteProcedures.domainDefineXml.number, opaque(padded(4 * 1024 * 1024 + 1))),
    )
    expect([errorCode.rpc, errorCode.xmlDetail]).toContain(code)
    expect(await state()).toEqual(before)
    expect(await define(padded(1024 * 1024))).toMatchObject({ domain: { name: 'good' } })
    expect(await lane.done('dumpxml', 'good')).toContain('<name>good</name>')
    await lane.done('undefine', 'good')
  })

  test('a name of digits stays what it is', async () => {
    const { domain } = await client.call(remoteProcedures.domainDefineXml, { xml: bytes(guestXml('007', {})) })
    expect(domain.name).toBe('007')
    expect(await lane.done('list', '--all', '--name')).toMatch(/^007$/m)
    expect(await lane.done('dumpxml', domain.name)).toContain('<name>007</name>')
    expect(await lane.done('domname', domain.uuid)).toContain('007')
  })

  test('a duplicate name or UUID is refused, naming the domain that has it', async () => {
    const uuid = 'aaaaaaaa-0000-4000-8000-000000000001'
    await define(bytes(guestXml('first', {}, { uuid })))
    const byName = await refused(
      async () => await define(bytes(guestXml('first', {}, { uuid: uuid.replace(/1$/, '2') }))),
    )
    expect(byName[2]).toContain(uuid)
    const byUuid = await refused(async () => await define(bytes(guestXml('second', {}, { uuid }))))
    expect(byUuid[2]).toContain("'first'")
    expect([byName[0], byUuid[0]]).toEqual([errorCode.operationFailed, errorCode.operationFailed])
  })

  test('an emulator that is not there is refused by name', async () => {
    const [, , message] = await errorOf(
      define(bytes(guestXml('alien', {}, { emulator: '/usr/bin/qemu-system-nothing' }))),
    )
    expect(message).toContain('/usr/bin/qemu-system-nothing')
    expect((await lane.virsh('dominfo', 'alien')).status).not.toBe(0)
  })

  test('a missing disk is refused at the start, which names it', async () => {
    expect(await defineFile('diskless', guestXml('diskless', { vda: lane.image('missing.qcow2') }))).toBe('')
    const before = await refusals()
    expect(await start('diskless')).toContain(lane.image('missing.qcow2'))
    expect(await refusals()).toBe(before + 1)
    expect(await lane.done('domstate', 'diskless')).toContain('shut off')
  })

  test('a chain that bites its tail is refused at the start, which names the loop', async () => {
    const [a, b] = [lane.image('loop-a.qcow2'), lane.image('loop-b.qcow2')]
    await capture('qemu-img', ['create', '-q', '-f', 'qcow2', '-u', '-b', b, '-F', 'qcow2', a, '8M'])
    await capture('qemu-img', ['create', '-q', '-f', 'qcow2', '-u', '-b', a, '-F', 'qcow2', b, '8M'])
    expect(await defineFile('loop', guestXml('loop', { vda: a }))).toBe('')
    const message = await start('loop')
    expect(message).toContain(a)
    expect(message).toMatch(/loop|itself|again|twice/i)
    expect(await lane.done('domstate', 'loop')).toContain('shut off')
  })

  test('a disk in use by another running domain is refused, naming both', async () => {
    await shareDisk(lane)
  })

  test('two domains would write to one image without guard claims-checked', async () => {
    await using greedy = await FaultLane.open({ guardsOff: ['claims-checked'] })
    await expect(shareDisk(greedy)).rejects.toThrow(/no claim was in the way/)
  })

  test.each([
    ['a length of 0', [0]],
    ['a length of 3', [3]],
    ['a length over 32 MiB', [32 * 1024 * 1024 + 5]],
    ['a length of 2^32 - 1', [0xffffffff]],
  ])('a frame with %s ends that connection and disturbs nobody', async (_name, words) => {
    const before = await state()
    const hostile = await RpcClient.connect(lane.daemon.socketPath())
    const frame = Buffer.alloc(64)
    words.forEach((word, at) => frame.writeUInt32BE(word, at * 4))
    hostile.write(frame)
    await hostile.closed()
    expect(await client.call(remoteProcedures.connectGetHostname, {})).toHaveProperty('hostname')
    expect(await state()).toEqual(before)
  })

  test('calls of an unknown program, version, number or type, and arguments cut short, get an error each', async () => {
    const before = await state()
    await using other = await RpcClient.open(lane.daemon.socketPath())
    const { number } = remoteProcedures.connectGetHostname
    const answers = [
      await errorOf(other.callRaw(number, Buffer.alloc(0), { program: 0x12345678 })),
      await errorOf(other.callRaw(number, Buffer.alloc(0), { version: 99 })),
      await errorOf(other.callRaw(9999)),
      await errorOf(other.callRaw(remoteProcedures.domainCreate.number, Buffer.alloc(2))),
    ]
    for (const [code, , message] of answers)
      expect([code, message?.length ?? 0]).toEqual([errorCode.rpc, expect.any(Number)])
    expect(await other.call(remoteProcedures.connectGetHostname, {})).toHaveProperty('hostname')
    expect(await state()).toEqual(before)
  })
})

/** A string as it travels: its length, its bytes, padding to a multiple of four. */
function opaque(text: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.length)
  return Buffer.concat([length, text, Buffer.alloc((4 - (text.length % 4)) % 4)])
}

/** Starts two domains on one image; throws where no claim keeps the second from starting. */
async function shareDisk(lane: FaultLane): Promise<void> {
  const image = lane.image('shared.qcow2')
  await copyGuestDisk(lane.image('template.qcow2'), image)
  for (const name of ['holder', 'taker']) {
    writeFileSync(lane.image(`${name}.xml`), guestXml(name, { vda: image }))
    await lane.done('define', lane.image(`${name}.xml`))
  }
  await lane.done('start', 'holder')
  const { status, err } = await lane.virsh('start', 'taker')
  const started = (await lane.facts((await lane.done('domuuid', 'taker')).trim())).includes('DomainStartRequested')
  await lane.done('destroy', 'holder')
  // QEMU itself locks images and may refuse too, but only after the intent was recorded.
  if (status === 0 || started)
    throw new Error(`Domain "taker" was about to use the image of "holder": no claim was in the way (${err.trim()})`)
  expect(err).toContain(image)
  expect(err).toContain((await lane.done('domuuid', 'holder')).trim())
}
