import { describe, expect, test } from 'vitest'
import {
  cosignatureTimeS,
  cosigner,
  InvalidNoteError,
  newSignerKey,
  parseNote,
  parseSignerKey,
  parseVerifierKey,
  signNote,
  verifyNote,
} from '../../src/eventstore/signed-note.ts'
import { formatCheckpoint, openCheckpoint, parseCheckpoint, signCheckpoint } from '../../src/eventstore/checkpoint.ts'

// The published vectors of the Go checksum database's note format, which C2SP signed-note describes.
const peterKey = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
const peterSigner = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz'
const enochKey = 'EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop'
const text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
const peterLine =
  '\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n'
const enochLine =
  '\u2014 EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n'
const peter = parseVerifierKey(peterKey)
const enoch = parseVerifierKey(enochKey)

// The examples in the texts of C2SP tlog-checkpoint and tlog-cosignature; their keys are not published.
const exampleCheckpoint = [
  'example.com/behind-the-sofa',
  '20852163',
  'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=',
  '',
  '\u2014 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=',
  '\u2014 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==',
  '',
].join('\n')

describe('verifyNote()', () => {
  test('verifies the published notes, and tells which keys signed', () => {
    const one = verifyNote(`${text}\n${peterLine}${enochLine}`, [peter])
    expect(one.text).toBe(text)
    expect(one.verifiedBy).toEqual([peter])
    expect(one.unknown.map(({ name }) => name)).toEqual(['EnochRoot'])
    const both = verifyNote(`${text}\n${peterLine}${enochLine}`, [enoch, peter])
    expect(both.verifiedBy.map(({ name }) => name)).toEqual(['PeterNeumann', 'EnochRoot'])
  })

  test('verifies a tree head of the public Go checksum database', () => {
    const key = 'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8'
    const note = [
      'go.sum database tree',
      '20852163',
      'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=',
      '',
      '\u2014 sum.golang.org Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=',
      '',
    ].join('\n')
    expect(openCheckpoint(note, [parseVerifierKey(key)])).toMatchObject({
      origin: 'go.sum database tree',
      size: 20_852_163n,
    })
  })

  test('refuses a note that nobody known has signed, or whose text is another', () => {
    expect(() => verifyNote(`${text}\n${enochLine}`, [peter])).toThrow('not by a key that is known')
    expect(() => verifyNote(`${text.replace('If', 'in')}\n${peterLine}`, [peter])).toThrow('does not fit its text')
  })

  test.each([
    ['no signatures', text],
    ['an empty line only', `${text}\n`],
    ['no newline at the end', `${text}\n${peterLine.slice(0, -1)}`],
    ['a control character', `\u0001${text}\n${peterLine}`],
    ['a name with a space', `${text}\n${peterLine.replace('PeterNeumann', 'Bad Name')}`],
    ['another line behind the signatures', `${text}\n${peterLine}Unexpected line.\n`],
    ['too many signatures', `${text}\n${peterLine.repeat(101)}`],
    ['base64 that is none', `${text}\n${peterLine.replace('x08g', 'x0*g')}`],
    ['base64 with bits to spare', `${text}\n${peterLine.replace('nAM=', 'nAN=')}`],
  ])('refuses a note with %s', (_what, note) => {
    expect(() => parseNote(note)).toThrow(InvalidNoteError)
  })

  test('refuses every note with one bit flipped', () => {
    const bytes = Buffer.from(`${text}\n${peterLine}`)
    const accepted: number[] = []
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      try {
        verifyNote(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(flipped), [peter])
        accepted.push(bit)
      } catch {
        continue
      }
    }
    expect(accepted).toEqual([])
  })
})

describe('parseVerifierKey()', () => {
  test('refuses every part and every change of the published key', () => {
    const accepted: string[] = []
    const tryKey = (key: string) => {
      try {
        parseVerifierKey(key)
        accepted.push(key)
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidNoteError)
      }
    }
    for (let from = 0; from < peterKey.length; from += 1) {
      for (let to = from; to <= peterKey.length; to += 1)
        if (to - from < peterKey.length) tryKey(peterKey.slice(from, to))
      tryKey(peterKey.slice(0, from) + String.fromCharCode(peterKey.charCodeAt(from) + 1) + peterKey.slice(from + 1))
    }
    tryKey('PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==')
    tryKey('PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW')
    expect(accepted).toEqual([])
  })

  test('reads the published key of a witness', () => {
    const key = 'remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2'
    expect(parseVerifierKey(key)).toMatchObject({ name: 'remora.n621.de', keyId: 0xda_77_ad_e7, kind: 'cosignature' })
  })
})

describe('signNote()', () => {
  test('makes the published signature with the published key', () => {
    expect(signNote(text, [parseSignerKey(peterSigner)])).toBe(`${text}\n${peterLine}`)
  })

  test('refuses a text without a newline at its end', () => {
    expect(() => signNote('abc', [parseSignerKey(peterSigner)])).toThrow(InvalidNoteError)
  })
})

describe('openCheckpoint()', () => {
  const signer = parseSignerKey(newSignerKey('log.example/1'))
  const witness = cosigner(newSignerKey('witness.example'), () => 1_700_000_000n)
  const checkpoint = { origin: 'log.example/1', size: 7n, root: Buffer.alloc(32, 5), extensions: [] }

  test('opens what the log signed; witnesses are verified where their key is given', () => {
    const note = signCheckpoint(checkpoint, [signer, witness])
    const alone = openCheckpoint(note, [signer.verifier])
    expect(alone).toMatchObject(checkpoint)
    expect(alone.unknownSigners).toEqual(['witness.example'])
    const both = openCheckpoint(note, [signer.verifier, witness.verifier])
    expect(both.signedBy).toEqual([signer.verifier, witness.verifier])
    const [, cosignature] = parseNote(note).signatures
    expect(cosignatureTimeS(cosignature?.signature ?? Buffer.alloc(8))).toBe(1_700_000_000n)
  })

  test('refuses a checkpoint that only a witness has signed, and a wrong cosignature', () => {
    const note = signCheckpoint(checkpoint, [witness])
    expect(() => openCheckpoint(note, [witness.verifier])).toThrow('only witnesses')
    const other = signCheckpoint({ ...checkpoint, size: 8n }, [signer])
    const line = note.split('\n').at(-2) ?? ''
    expect(() => openCheckpoint(`${other}${line}\n`, [signer.verifier, witness.verifier])).toThrow('does not fit')
    expect(openCheckpoint(`${other}${line}\n`, [signer.verifier]).size).toBe(8n)
  })

  test('reads the published examples', () => {
    const { text: published, signatures } = parseNote(exampleCheckpoint)
    const parsed = parseCheckpoint(published)
    expect(parsed).toMatchObject({ origin: 'example.com/behind-the-sofa', size: 20_852_163n })
    expect(formatCheckpoint(parsed)).toBe(published)
    expect(signatures.map(({ name, keyId }) => [name, keyId])).toEqual([
      ['example.com/behind-the-sofa', 0x03_3d_e0_ae],
      ['witness.example.com/w1', 0x8d_66_cf_3f],
    ])
    expect(cosignatureTimeS(signatures[1]?.signature ?? Buffer.alloc(8))).toBe(1_679_315_147n)
  })

  test.each([
    ['a size with a leading zero', 'o\n07\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n'],
    ['no origin', '\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n'],
    ['a root of another length', 'o\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jx\n'],
    ['an empty extension line', 'o\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\nx\n'],
    ['two lines', 'o\n7\n'],
  ])('refuses a checkpoint with %s', (_what, wrong) => {
    expect(() => parseCheckpoint(wrong)).toThrow(InvalidNoteError)
  })
})
