import type { HeardExchange } from './probe-conversation.ts'

// The message's own id stands first or last; inside, other things may have one too.
const ownId = /(?<=^\{)"id":\s*"chronovisor-\d+"|"id":\s*"chronovisor-\d+"(?=\}$)/

/**
 * Writes a conversation down as it happens: JSON objects, indented by two, separated by one empty line, command and answer in turn, ids
 * counted from 1 in each section. Numbers stay as QEMU wrote them, those beyond 2^53 included.
 */
export class ProbeRecording {
  readonly #sections: RecordedSection[] = []

  /** How much was said so far, in characters. */
  get size(): number {
    return this.#sections.reduce((total, section) => total + section.size, 0)
  }

  /** The emulator is started anew: ids count from 1 again. Sections may be spoken at the same time; they stand in the order of their beginnings. */
  beginSection(): RecordedSection {
    const section = new RecordedSection()
    this.#sections.push(section)
    return section
  }

  /** What was said in each section. */
  get sections(): readonly (readonly HeardExchange[])[] {
    return this.#sections.map((section) => section.exchanges)
  }

  /** The whole conversation. */
  get text(): string {
    return `${this.#sections.flatMap((section) => section.texts()).join('\n\n')}\n`
  }
}

/** What was said since one start of the emulator. */
export class RecordedSection {
  readonly #exchanges: HeardExchange[] = []
  readonly #texts: string[] = []
  #size = 0

  /** In characters. */
  get size(): number {
    return this.#size
  }

  get exchanges(): readonly HeardExchange[] {
    return this.#exchanges
  }

  /** Takes the next command with its answer. */
  add(exchange: HeardExchange): void {
    this.#size += exchange.command.length + exchange.answer.length
    this.#exchanges.push(exchange)
    // After the next question is asked: the emulator works on it meanwhile.
    setImmediate(() => this.#write())
  }

  /** Nothing was said: it turned out to be of no use. */
  forget(): void {
    this.#exchanges.length = 0
    this.#texts.length = 0
    this.#size = 0
  }

  /** Its messages as they are recorded. */
  texts(): readonly string[] {
    this.#write()
    return this.#texts
  }

  #write(): void {
    for (const { command, answer } of this.#exchanges.slice(this.#texts.length / 2)) {
      const id = this.#texts.length / 2 + 1
      for (const message of [command, answer])
        this.#texts.push(indentJson(message.trim().replace(ownId, `"id": "libvirt-${id}"`)))
    }
  }
}

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const colon = 0x3a
const space = 0x20
const opening: ReadonlySet<number> = new Set([0x5b, 0x7b])
const closing: ReadonlySet<number> = new Set([0x5d, 0x7d])
const lineBreaks = Array.from({ length: 64 }, (_, depth) => `\n${'  '.repeat(depth)}`)

/** Indents JSON without reading its numbers; an empty object or array stays on its line. A conversation has a megabyte: every character is looked at once. */
export function indentJson(json: string): string {
  let out = ''
  let depth = 0
  let opened = false
  for (let at = 0; at < json.length; ) {
    const code = json.charCodeAt(at)
    if (code <= space) {
      at += 1
      continue
    }
    const closes = closing.has(code)
    if (closes) depth -= 1
    if (closes !== opened) out += lineBreak(depth)
    opened = opening.has(code)
    const end = code === quote ? endOfText(json, at) : isPunctuation(code) ? at + 1 : endOfWord(json, at)
    out += json.slice(at, end)
    if (opened) depth += 1
    else if (code === colon) out += ' '
    else if (code === comma) out += lineBreak(depth)
    at = end
  }
  return out
}

function lineBreak(depth: number): string {
  return lineBreaks[depth] ?? `\n${'  '.repeat(depth)}`
}

function isPunctuation(code: number): boolean {
  return code === comma || code === colon || opening.has(code) || closing.has(code)
}

/** Behind the quotation mark that ends the text which begins here. */
function endOfText(json: string, start: number): number {
  for (let at = start + 1; at < json.length; at += 1) {
    const code = json.charCodeAt(at)
    if (code === quote) return at + 1
    if (code === backslash) at += 1
  }
  return json.length
}

/** Behind a number, true, false or null. */
function endOfWord(json: string, start: number): number {
  let at = start + 1
  for (; at < json.length; at += 1) {
    const code = json.charCodeAt(at)
    if (code <= space || code === quote || isPunctuation(code)) break
  }
  return at
}
