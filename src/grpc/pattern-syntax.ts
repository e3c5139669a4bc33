/** A regular expression as a tree. `chars` is one character that passes the test. */
export type PatternNode =
  | { readonly kind: 'chars'; readonly matches: (codePoint: number) => boolean }
  | { readonly kind: 'sequence'; readonly parts: readonly PatternNode[] }
  | { readonly kind: 'choice'; readonly parts: readonly PatternNode[] }
  | { readonly kind: 'repeat'; readonly part: PatternNode; readonly min: number; readonly max: number }
  | { readonly kind: 'start' }
  | { readonly kind: 'end' }

/** A regular expression that cannot be used; the message quotes it and says where and why. */
export class PatternError extends Error {
  override readonly name = 'PatternError'
}

const maxPatternChars = 1_000
const maxNesting = 50
const maxRepetitions = 1_000

/**
 * Reads a regular expression: literals, `.`, classes, `\d \w \s` and their opposites, groups, `|`, `* + ? {n,m}` (greedy or not), `^`, `$`.
 * Throws {@link PatternError} for what needs backtracking (lookaround, back references, word boundaries) and for what is no expression.
 */
export function parsePattern(source: string): PatternNode {
  return new PatternReader(source).read()
}

class PatternReader {
  readonly #source: string
  readonly #chars: readonly string[]
  #at = 0
  #depth = 0

  constructor(source: string) {
    this.#source = source
    this.#chars = Array.from(source)
    if (this.#chars.length > maxPatternChars) this.#refuse(`it has more than ${maxPatternChars} characters`)
  }

  read(): PatternNode {
    const node = this.#choice()
    if (this.#at < this.#chars.length) this.#refuse('")" closes nothing')
    return node
  }

  #choice(): PatternNode {
    this.#depth += 1
    if (this.#depth > maxNesting) this.#refuse(`its groups are nested deeper than ${maxNesting}`)
    const parts = [this.#sequence()]
    while (this.#take('|')) parts.push(this.#sequence())
    this.#depth -= 1
    return { kind: 'choice', parts }
  }

  #sequence(): PatternNode {
    const parts: PatternNode[] = []
    for (let next = this.#peek(); next !== undefined && next !== '|' && next !== ')'; next = this.#peek()) {
      parts.push(this.#repeated(this.#item()))
    }
    return { kind: 'sequence', parts }
  }

  #item(): PatternNode {
    const char = this.#next()
    switch (char) {
      case '^':
        return { kind: 'start' }
      case '$':
        return { kind: 'end' }
      case '.':
        return { kind: 'chars', matches: (codePoint) => !lineEnds.has(codePoint) }
      case '(':
        return this.#group()
      case '[':
        return this.#class()
      case '\\':
        return { kind: 'chars', matches: this.#escape() }
      case '*':
      case '+':
      case '?':
      case '{':
        return this.#refuse(`"${char}" repeats nothing`)
      default:
        return { kind: 'chars', matches: exactly(char) }
    }
  }

  #group(): PatternNode {
    if (this.#take('?')) {
      const isNamed = this.#peek() === '<' && /[A-Za-z_]/.test(this.#chars[this.#at + 1] ?? '')
      if (isNamed) while (this.#next() !== '>');
      else if (!this.#take(':')) this.#refuse('it looks around or sets options')
    }
    const node = this.#choice()
    if (!this.#take(')')) this.#refuse('a group is not closed')
    return node
  }

  #repeated(part: PatternNode): PatternNode {
    const bounds = this.#bounds()
    if (bounds === null) return part
    if (part.kind === 'start' || part.kind === 'end') this.#refuse('"^" and "$" cannot be repeated')
    this.#take('?') // what is matched first makes no difference to whether anything is
    return { kind: 'repeat', part, ...bounds }
  }

  #bounds(): { readonly min: number; readonly max: number } | null {
    if (this.#take('*')) return { min: 0, max: Infinity }
    if (this.#take('+')) return { min: 1, max: Infinity }
    if (this.#take('?')) return { min: 0, max: 1 }
    if (!this.#take('{')) return null
    const found = /^(\d{1,4})(?:(,)(\d{1,4})?)?\}/.exec(this.#chars.slice(this.#at).join(''))
    if (found === null) return this.#refuse('"{" begins no number of repetitions')
    const [text, low, comma, high] = found
    this.#at += text.length
    const min = Number(low)
    const unlimited = comma === undefined ? min : Infinity
    const max = high === undefined ? unlimited : Number(high)
    if (max < min || min > maxRepetitions || (max !== Infinity && max > maxRepetitions)) {
      this.#refuse(`"{${text}" is no usable number of repetitions`)
    }
    return { min, max }
  }

  #class(): PatternNode {
    const isNegated = this.#take('^')
    const tests: ((codePoint: number) => boolean)[] = []
    while (!this.#take(']')) tests.push(this.#classMember())
    const passes = (codePoint: number) => tests.some((matches) => matches(codePoint))
    return { kind: 'chars', matches: isNegated ? (codePoint) => !passes(codePoint) : passes }
  }

  #classMember(): (codePoint: number) => boolean {
    const first = this.#classChar()
    if (typeof first !== 'number') return first
    if (this.#peek() !== '-' || this.#chars[this.#at + 1] === ']') return (codePoint) => codePoint === first
    this.#next()
    const last = this.#classChar()
    if (typeof last !== 'number' || last < first) return this.#refuse('a range of a class has no order')
    return (codePoint) => codePoint >= first && codePoint <= last
  }

  #classChar(): number | ((codePoint: number) => boolean) {
    const char = this.#next()
    if (char !== '\\') return codePointOf(char)
    const set = sets[this.#peek() ?? '']
    return set === undefined ? this.#escapedChar() : (this.#next(), set)
  }

  #escape(): (codePoint: number) => boolean {
    const set = sets[this.#peek() ?? '']
    if (set !== undefined) {
      this.#next()
      return set
    }
    const codePoint = this.#escapedChar()
    return (found) => found === codePoint
  }

  #escapedChar(): number {
    const char = this.#next()
    const control = controls[char]
    if (control !== undefined) return control
    if (char === 'x') return this.#hex(2)
    if (char === 'u') return this.#hex(4)
    if (/[A-Za-z0-9]/.test(char)) return this.#refuse(`"\\${char}" is not supported`)
    return codePointOf(char)
  }

  #hex(digits: number): number {
    const text = this.#chars.slice(this.#at, this.#at + digits).join('')
    if (text.length !== digits || !/^[0-9A-Fa-f]+$/.test(text)) this.#refuse(`${digits} hexadecimal digits are missing`)
    this.#at += digits
    return Number.parseInt(text, 16)
  }

  #peek(): string | undefined {
    return this.#chars[this.#at]
  }

  #next(): string {
    const char = this.#chars[this.#at] ?? this.#refuse('it ends too early')
    this.#at += 1
    return char
  }

  #take(char: string): boolean {
    if (this.#peek() !== char) return false
    this.#at += 1
    return true
  }

  #refuse(why: string): never {
    throw new PatternError(
      `Cannot use the regular expression ${JSON.stringify(this.#source)}: ${why} (character ${this.#at})`,
    )
  }
}

const lineEnds = new Set([0x0a, 0x0d, 0x2028, 0x2029])
const controls: Readonly<Record<string, number>> = { t: 0x09, n: 0x0a, v: 0x0b, f: 0x0c, r: 0x0d, '0': 0 }

const isDigit = (codePoint: number) => codePoint >= 0x30 && codePoint <= 0x39
const isWord = (codePoint: number) =>
  isDigit(codePoint) ||
  codePoint === 0x5f ||
  (codePoint >= 0x41 && codePoint <= 0x5a) ||
  (codePoint >= 0x61 && codePoint <= 0x7a)
const isSpace = (codePoint: number) => /^\s$/u.test(String.fromCodePoint(codePoint))

const sets: Readonly<Record<string, (codePoint: number) => boolean>> = {
  d: isDigit,
  D: (codePoint) => !isDigit(codePoint),
  w: isWord,
  W: (codePoint) => !isWord(codePoint),
  s: isSpace,
  S: (codePoint) => !isSpace(codePoint),
}

function exactly(char: string): (codePoint: number) => boolean {
  const wanted = codePointOf(char)
  return (codePoint) => codePoint === wanted
}

function codePointOf(char: string): number {
  return char.codePointAt(0) ?? 0
}
