import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { callbackEvents, connectionClosedEvent, legacyEvents } from '../../src/protocol/event-messages.ts'
import { FrameAssembler } from '../../src/protocol/frame-assembler.ts'
import { encodeMessage, payloadOffset, readMessage } from '../../src/protocol/message.ts'
import { remoteProcedure } from '../../src/protocol/procedure-table.ts'
import { messageStatus, messageType } from '../../src/protocol/programs.ts'
import { wireError } from '../../src/protocol/wire-error.ts'
import { type Codec, decode } from '../../src/xdr/xdr-codec.ts'

interface Recording {
  readonly client: string
  readonly frames: readonly string[]
}

const folder = fileURLToPath(new URL('../../fixtures/rpc/', import.meta.url))
const names = readdirSync(folder).filter((name) => name.endsWith('.json'))
const events = new Map<number, Codec<unknown>>(
  [...Object.values(callbackEvents), ...Object.values(legacyEvents), connectionClosedEvent].map((event) => [
    event.number,
    event.body,
  ]),
)

/** Procedures that real clients called in a recording and that answer NO_SUPPORT here, so they have no codec. */
const withoutCodec = new Set([56, 135, 198, 206, 253, 255, 262, 349, 358, 371])

function codecOf(procedure: number, { type, status }: { type: number; status: number }): Codec<unknown> | undefined {
  if (status === messageStatus.error) return wireError
  if (type === messageType.message) return events.get(procedure)
  const row = remoteProcedure(procedure)
  return type === messageType.call ? row?.args : row?.result
}

function recording(name: string): Recording {
  return JSON.parse(readFileSync(folder + name, 'utf8'))
}

describe('messages recorded between libvirt clients and libvirtd 9.0', () => {
  test.each(names)('%s is decoded to the last byte and encoded to the same bytes', (name) => {
    const undecoded = new Set<number>()
    for (const line of recording(name).frames) {
      const bytes = Buffer.from(line.slice(2), 'hex')
      const [frame] = [...new FrameAssembler().push(bytes)]
      if (frame === undefined) throw new Error(`no frame in ${line}`)
      const { header } = readMessage(frame)
      const codec = codecOf(header.procedure, header)
      if (codec === undefined) {
        undecoded.add(header.procedure)
        continue
      }
      const value = decode(codec, frame, payloadOffset)
      const again = encodeMessage(header, codec, value)
      expect(again.toString('hex'), `procedure ${header.procedure} of ${name}`).toBe(line.slice(2))
    }
    expect([...undecoded].filter((procedure) => !withoutCodec.has(procedure))).toEqual([])
  })

  test('the recordings hold every call of the main story', () => {
    const seen = new Set<number>()
    for (const name of names) {
      for (const line of recording(name).frames) seen.add(Buffer.from(line.slice(2), 'hex').readUInt32BE(12))
    }
    const story = [
      1, 2, 3, 4, 6, 7, 9, 10, 11, 12, 14, 15, 16, 19, 23, 24, 28, 29, 34, 66, 185, 186, 194, 196, 212, 231,
    ]
    expect(
      [...story, 237, 238, 240, 245, 258, 264, 273, 274, 290, 316, 317, 318, 326, 339, 342, 344].filter(
        (n) => !seen.has(n),
      ),
    ).toEqual([])
  })
})
