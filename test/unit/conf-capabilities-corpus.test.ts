import * as v from 'valibot'
import { afterAll, describe, expect, test } from 'vitest'
import { type CorpusCase, openCorpora } from '../conformance/corpora-cases.ts'
import { assertionsOf } from '../conformance/run-case.ts'
import { formatEmulatorDocument } from '../../src/conf/format-emulator-document.ts'
import { parseEmulatorDocument } from '../../src/conf/parse-emulator-document.ts'
import { corporaPath, requireTool } from '../support/require-tool.ts'

const probeCase = v.object({ expected: v.string(), libvirtFormat: v.picklist(['9.0.0', '11.3.0']) })
const corpora = requireTool('corpora') ? openCorpora(corporaPath()) : null
const casesOf = (corpus: string): readonly CorpusCase[] => corpora?.cases.filter((each) => each.corpus === corpus) ?? []

afterAll(() => corpora?.[Symbol.dispose]())

/** Ids of the cases that failed, each with the first line that is wrong. */
function failures(corpus: string): readonly string[] {
  if (corpora === null) return []
  return casesOf(corpus).flatMap((of) =>
    assertionsOf(of, corpora).flatMap(({ pass, detail }) => (pass ? [] : [`${of.id}: ${detail}`])),
  )
}

describe.skipIf(corpora === null)('recorded capabilities', () => {
  test('there are cases of both corpora', () => {
    expect(casesOf('caps').length).toBeGreaterThan(30)
    expect(casesOf('extra').length).toBeGreaterThan(50)
  })

  test('deriveDocument() gives the document of every recorded conversation, byte for byte', () => {
    expect(failures('caps')).toEqual([])
  })

  test('the host part, the guest part and the domain capabilities of every recorded machine come out byte for byte', () => {
    expect(failures('extra')).toEqual([])
  })

  test('parseEmulatorDocument() reads every document so that formatEmulatorDocument() prints the same bytes', () => {
    const different = casesOf('caps').flatMap((of) => {
      const { expected, libvirtFormat } = v.parse(probeCase, of.stated)
      const text = corpora?.readText(of, expected) ?? ''
      return formatEmulatorDocument(parseEmulatorDocument(text), libvirtFormat) === text ? [] : [of.id]
    })
    expect(different).toEqual([])
  })
})
