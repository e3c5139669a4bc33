import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ImageHeaderError } from '../../src/image/image-header-error.ts'
import { parseBackingName } from '../../src/image/parse-backing-name.ts'

const image = '/images/web/top.qcow2'

describe('parseBackingName()', () => {
  test.each([
    ['/abs/base.qcow2', '/abs/base.qcow2'],
    ['base.qcow2', '/images/web/base.qcow2'],
    ['../base.raw', '/images/web/../base.raw'],
    ['../../../etc/shadow', '/images/web/../../../etc/shadow'],
    ['./with:colon', '/images/web/./with:colon'],
    ['/dir/with:colon', '/dir/with:colon'],
    ['file:/abs/base', '/abs/base'],
    ['file:///abs/base', '/abs/base'],
    ['file:base:1', '/images/web/base:1'],
    ['ünï 💾', '/images/web/ünï 💾'],
  ])('makes a path of %j', (name, path) => {
    expect(parseBackingName(name, image)).toEqual({ kind: 'file', path })
  })

  test.each([
    ['nbd://example.org:1234', 'protocol "nbd"'],
    ['nbd+unix:///exp?socket=/tmp/sock', 'protocol "nbd+unix"'],
    ['nbd:example.org:6000:exportname=blah', 'protocol "nbd"'],
    ['rbd:pool/image:id=asdf', 'protocol "rbd"'],
    ['http://example.org/a', 'protocol "http"'],
    ['fat:/somedir', 'protocol "fat"'],
    ['a:b', 'protocol "a"'],
    [':b', 'protocol ""'],
    ['json:{"file":"/etc/shadow"}', 'JSON'],
    [`json:${'{"file":'.repeat(30)}1${'}'.repeat(30)}`, 'JSON'],
    ['json:not json', 'JSON'],
    ['/dev/fdset/1', 'file descriptor'],
  ])('does not follow %j', (name, why) => {
    const target = parseBackingName(name, image)
    expect(target.kind === 'unsupported' ? target.why : target.path).toContain(why)
    expect(target.kind).toBe('unsupported')
  })

  test.each([
    ['', 'empty'],
    ['file:', 'empty'],
    ['a\0b', 'control character 0'],
    ['a\nb', 'control character 10'],
    ['a\u007f', 'control character 127'],
    ['/'.repeat(4096), '4096 bytes long'],
    ['n'.repeat(4095), 'bytes long'],
  ])('refuses %j', (name, why) => {
    expect(() => parseBackingName(name, image)).toThrow(ImageHeaderError)
    expect(() => parseBackingName(name, image)).toThrow(why)
  })

  test('begins a relative name nowhere when the image itself is named without a directory', () => {
    expect(parseBackingName('base', 'top')).toEqual({ kind: 'file', path: 'base' })
  })

  test('quotes at most 80 characters of a foreign name in an error', () => {
    expect(() => parseBackingName(`${'x'.repeat(5000)}\n`, image)).toThrow(/^.{0,220}$/)
  })

  test('gives a path or an ImageHeaderError for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary-ascii', maxLength: 64 }), (name) => {
        try {
          const target = parseBackingName(name, image)
          if (target.kind === 'file') expect(target.path).toMatch(/^\/[^\0]*$/u)
        } catch (error) {
          expect(error).toBeInstanceOf(ImageHeaderError)
        }
      }),
      { numRuns: 1000 },
    )
  })
})
