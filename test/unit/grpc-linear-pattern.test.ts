import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { linearPattern } from '../../src/grpc/linear-pattern.ts'
import { PatternError } from '../../src/grpc/pattern-syntax.ts'

describe('linearPattern()', () => {
  const rows = [
    { source: '^[^$].*', yes: ['a', 'order-1'], no: ['', '$metadata'] },
    { source: 'rder', yes: ['order', 'rder'], no: ['orde'] },
    { source: '^order-[0-9]+$', yes: ['order-1', 'order-123'], no: ['order-', 'xorder-1', 'order-1x'] },
    { source: '^(order|invoice)-', yes: ['order-1', 'invoice-2'], no: ['an order-1'] },
    { source: String.raw`^\$\$.+\.v\d$`, yes: ['$$a.v1'], no: ['$a.v1', '$$a-v1'] },
    { source: 'a{2,3}b', yes: ['aab', 'aaab', 'aaaab'], no: ['ab'] },
    { source: '^(?<kind>[a-z]+)-(?:x|y)?$', yes: ['ab-', 'ab-x'], no: ['ab-z'] },
    { source: String.raw`^[\w-]{3}\s\x41\u00e4$`, yes: ['a-b Aä'], no: ['ab Aä'] },
    { source: '', yes: ['', 'a'], no: [] },
    { source: '^$', yes: [''], no: ['a'] },
    { source: '^𝄞.$', yes: ['𝄞x', '𝄞𝄞'], no: ['𝄞'] },
    { source: '(a*)*$', yes: ['', 'b', 'aaa'], no: [] },
  ]

  test.each(rows)('"$source" finds $yes and not $no', ({ source, yes, no }) => {
    const pattern = linearPattern(source)
    expect(yes.filter((text) => !pattern.test(text))).toEqual([])
    expect(no.filter((text) => pattern.test(text))).toEqual([])
  })

  const refused = [
    '(?=a)',
    '(?<!a)b',
    String.raw`(a)\1`,
    String.raw`\bword`,
    'a**',
    '*a',
    '(a',
    'a)',
    '[a',
    'a{3,2}',
    '[b-a]',
  ]

  test.each([...refused, '(?i)a', String.raw`\p{L}`, 'a{1001}', `${'('.repeat(60)}a${')'.repeat(60)}`])(
    'refuses "%s"',
    (source) => {
      expect(() => linearPattern(source)).toThrow(PatternError)
    },
  )

  test('finds what a RegExp finds', () => {
    const atom = fc.constantFrom('a', 'b', 'c', '.', '[ab]', '[^a]', String.raw`\d`, '(a|b)', '(?:ab|c)', '(b*)', '1')
    const times = fc.constantFrom('', '', '*', '+', '?', '{2}', '{1,2}', '*?')
    const part = fc.tuple(atom, times).map((pair) => pair.join(''))
    const sequence = fc.array(part, { maxLength: 5 }).map((parts) => parts.join(''))
    const source = fc
      .tuple(fc.constantFrom('', '^'), fc.array(sequence, { minLength: 1, maxLength: 3 }), fc.constantFrom('', '$'))
      .map(([start, choices, end]) => `${start}${choices.join('|')}${end}`)
    const text = fc.array(fc.constantFrom('a', 'b', 'c', '1', 'ä'), { maxLength: 12 }).map((chars) => chars.join(''))
    fc.assert(
      fc.property(source, fc.array(text, { minLength: 1, maxLength: 8 }), (pattern, texts) => {
        const ours = linearPattern(pattern)
        const theirs = new RegExp(pattern, 'u')
        expect(texts.map((each) => ours.test(each))).toEqual(texts.map((each) => theirs.test(each)))
      }),
      { numRuns: 2_000 },
    )
  })

  test('follows at once what makes backtracking explode', () => {
    const pattern = linearPattern('^(([a-z])+.)+[A-Z]([a-z])+$')
    expect(pattern.test('a'.repeat(512))).toBe(false)
    const nested = linearPattern('(x+x+)+y')
    expect(nested.test('x'.repeat(512))).toBe(false)
  })

  test('refuses repetitions of repetitions that would need too many states', () => {
    expect(() => linearPattern('((a{50}){50}){50}')).toThrow('its repetitions make it too big')
  })

  test('forgets what it worked out before it grows without bound, and stays right', () => {
    const pattern = linearPattern('a.{10}b')
    const texts = Array.from({ length: 3_000 }, (_, at) =>
      at.toString(2).padStart(14, '0').replaceAll('0', 'a').replaceAll('1', 'b'),
    )
    const theirs = /a.{10}b/u
    expect(texts.map((text) => pattern.test(text))).toEqual(texts.map((text) => theirs.test(text)))
  })
})
