const asciiStart = new Uint8Array(128)
const asciiRest = new Uint8Array(128)
for (let code = 0; code < 128; code++) {
  const character = String.fromCharCode(code)
  if (/[A-Za-z_:]/.test(character)) asciiStart[code] = 1
  if (/[A-Za-z0-9_:.-]/.test(character)) asciiRest[code] = 1
}

// The productions NameStartChar and NameChar of XML 1.0, fifth edition, beyond ASCII.
const wideStart =
  /[\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\u{10000}-\u{effff}]/u
const wideRest = /[\u00b7\u0300-\u036f\u203f\u2040]/u

function wideLength(text: string, at: number, first: boolean): number {
  const point = text.codePointAt(at)
  if (point === undefined) return 0
  const character = String.fromCodePoint(point)
  if (wideStart.test(character) || (!first && wideRest.test(character))) return character.length
  return 0
}

/** Offset behind the XML name that starts at `start`; `start` itself when no name begins there. */
export function nameEnd(text: string, start: number): number {
  let at = start
  while (at < text.length) {
    const code = text.charCodeAt(at)
    if (code < 128) {
      if ((at === start ? asciiStart : asciiRest)[code] !== 1) break
      at++
      continue
    }
    const length = wideLength(text, at, at === start)
    if (length === 0) break
    at += length
  }
  return at
}
