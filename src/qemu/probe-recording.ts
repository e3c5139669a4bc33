// The message's own id stands first or last; inside, other things may have one too.
const ownId = /(?<=^\{)"id":\s*"chronovisor-\d+"|"id":\s*"chronovisor-\d+"(?=\}$)/

/**
 * Writes a conversation down as it happens: JSON objects, indented by two, separated by one empty line, command and answer in turn, ids
 * counted from 1 in each section. Numbers stay as QEMU wrote them, those beyond 2^53 included.
 */
export class ProbeRecording {
  readonly #sections: string[][] = []
  #bytes = 0

  /** How much was said so far, in characters. */
  get size(): number {
    return this.#bytes
  }

  /** The emulator was started anew: ids count from 1 again. */
  beginSection(): void {
    this.#sections.push([])
  }

  /** Takes the next command or answer as JSON text. */
  add(json: string): void {
    this.#bytes += json.length
    if (this.#sections.length === 0) this.beginSection()
    this.#sections.at(-1)?.push(json)
  }

  /** The whole conversation. */
  get text(): string {
    const numbered = this.#sections.flatMap((messages) =>
      messages.map((json, index) => {
        const id = Math.floor(index / 2) + 1
        return indentJson(json.trim().replace(ownId, `"id": "libvirt-${id}"`))
      }),
    )
    return `${numbered.join('\n\n')}\n`
  }
}

/** Indents JSON without reading its numbers; an empty object or array stays on its line. */
export function indentJson(json: string): string {
  const out: string[] = []
  let depth = 0
  let opened = false
  const newLine = (): void => void out.push(`\n${'  '.repeat(depth)}`)
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    const closes = token === '}' || token === ']'
    if (closes) depth -= 1
    if (closes !== opened) newLine()
    opened = token === '{' || token === '['
    if (opened) depth += 1
    out.push(token === ':' ? ': ' : token)
    if (token === ',') newLine()
  }
  return out.join('')
}
