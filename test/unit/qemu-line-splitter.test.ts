import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LineSplitter } from '../../src/qemu/line-splitter.ts'

test('LineSplitter gives the same lines however the bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ minLength: 1, unit: 'grapheme' })), fc.array(fc.nat(40)), (texts, cuts) => {
      const lines = texts.map((text) => JSON.stringify(text))
      const bytes = Buffer.from(lines.map((line) => `${line}\r\n`).join(''))
      const splitter = new LineSplitter(100_000)
      const seen: string[] = []
      let at = 0
      for (const cut of [...cuts, bytes.length]) {
        seen.push(...(splitter.push(bytes.subarray(at, at + cut)) ?? ['too long']))
        at = Math.min(bytes.length, at + cut)
      }
      expect(seen).toEqual(lines)
      expect(splitter.heldBytes).toBe(0)
    }),
  )
})

test.each([
  ['whole', ['a'.repeat(11)]],
  ['in pieces', ['a'.repeat(6), 'a'.repeat(5)]],
  ['after others', ['ok\n', `${'a'.repeat(11)}\n`]],
])('LineSplitter refuses a line over its limit, %s', (_how, chunks) => {
  const splitter = new LineSplitter(10)
  const results = chunks.map((chunk) => splitter.push(Buffer.from(chunk)))
  expect(results.at(-1)).toBeNull()
})

test('LineSplitter takes a line of exactly its limit and leaves blank lines out', () => {
  expect(new LineSplitter(10).push(Buffer.from(`\n\r\n${'a'.repeat(10)}\n`))).toEqual(['a'.repeat(10)])
})
