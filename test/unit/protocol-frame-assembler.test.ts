import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FrameAssembler } from '../../src/protocol/frame-assembler.ts'
import { FrameError } from '../../src/protocol/message.ts'

function frame(payload: number, fill = 7): Buffer {
  const bytes = Buffer.alloc(28 + payload, fill)
  bytes.writeUInt32BE(bytes.length, 0)
  return bytes
}

function lengthWord(length: number): Buffer {
  const word = Buffer.alloc(4)
  word.writeUInt32BE(length)
  return word
}

describe('FrameAssembler', () => {
  test.each([0, 3, 27, 32 * 1024 * 1024 + 5, 2 ** 32 - 1])(
    'refuses a frame of %i bytes as soon as its length is there',
    (length) => {
      expect(() => [...new FrameAssembler().push(lengthWord(length))]).toThrow(FrameError)
    },
  )

  test('accepts the longest frame', () => {
    const assembler = new FrameAssembler()
    expect([...assembler.push(lengthWord(32 * 1024 * 1024 + 4))]).toEqual([])
  })

  test('refuses an impossible length that arrives byte by byte', () => {
    const assembler = new FrameAssembler()
    const feed = (): void => {
      for (const byte of lengthWord(3)) expect([...assembler.push(Buffer.from([byte]))]).toEqual([])
    }
    expect(feed).toThrow(FrameError)
  })

  test('holds what was received, not what was promised', () => {
    const assembler = new FrameAssembler()
    expect([...assembler.push(Buffer.concat([lengthWord(32 * 1024 * 1024), Buffer.alloc(10)]))]).toEqual([])
    expect(assembler.heldBytes).toBe(14)
  })

  test('gives frames that arrive together as views, without a copy', () => {
    const chunk = Buffer.concat([frame(4, 1), frame(8, 2)])
    const frames = [...new FrameAssembler().push(chunk)]
    expect(frames.map((one) => one.length)).toEqual([28, 32])
    expect(frames[0]?.buffer).toBe(chunk.buffer)
  })

  test('gives the same frames however the bytes are cut', () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 6 })
    const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 400 })
    fc.assert(
      fc.property(sizes, cuts, (payloads, steps) => {
        const bytes = Buffer.concat(payloads.map((size, index) => frame(size, index + 1)))
        const assembler = new FrameAssembler()
        const found: string[] = []
        let at = 0
        for (let step = 0; at < bytes.length; step++) {
          const end = Math.min(bytes.length, at + (steps[step % steps.length] ?? 1))
          for (const one of assembler.push(bytes.subarray(at, end))) found.push(one.toString('hex'))
          at = end
        }
        expect(found).toEqual(
          payloads.map((size, index) =>
            frame(size, index + 1)
              .subarray(4)
              .toString('hex'),
          ),
        )
        expect(assembler.heldBytes).toBe(0)
      }),
      { numRuns: 200 },
    )
  })
})
