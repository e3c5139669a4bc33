import { Fault } from '../util/fault.ts'
import { QmpError } from './qmp-error.ts'
import { parseQmpMessage } from './qmp-message.ts'

/** Asks one question of an emulator. Throws QmpError where the emulator refuses it. */
export type AskEmulator = (command: string, args?: object) => Promise<unknown>

// The message's own id stands first or last; inside, other things may have one too.
const ownId = /(?<=^\{)"id":\s*"chronovisor-\d+"|"id":\s*"chronovisor-\d+"(?=\}$)/

/**
 * Writes a conversation down as it happens: JSON objects, indented by two, separated by one empty line, command and answer in turn, ids
 * counted from 1. Numbers stay as QEMU wrote them, those beyond 2^53 included.
 */
export class ProbeRecording {
  readonly #messages: string[] = []

  /** Takes the next command or answer as JSON text. */
  add(json: string): void {
    this.#messages.push(json)
  }

  /** The whole conversation. */
  get text(): string {
    const numbered = this.#messages.map((json, index) => {
      const id = Math.floor(index / 2) + 1
      return indentJson(json.trim().replace(ownId, `"id": "libvirt-${id}"`))
    })
    return `${numbered.join('\n\n')}\n`
  }
}

/**
 * Answers from a recorded conversation. The questions must come in the recorded order; another one throws a Fault that
 * names both, so a changed interview cannot pass for the recorded one.
 */
export function replayConversation(text: string): AskEmulator {
  const messages = text.split(/\n\n+/).filter((part) => part.trim() !== '')
  let at = 0
  return async (command, args = {}) => {
    const recorded: unknown = JSON.parse(messages[at] ?? 'null')
    const answer = messages[at + 1]
    const wanted = canonical(
      Object.keys(args).length === 0 ? { execute: command } : { execute: command, arguments: args },
    )
    const found = canonical(withoutId(recorded))
    if (answer === undefined || found !== wanted) {
      throw new Fault(
        'internal',
        `Cannot replay the conversation: question ${at / 2 + 1} is ${wanted}, recorded is ${found}`,
      )
    }
    at += 2
    const message = parseQmpMessage(answer)
    if (message.kind === 'error') throw new QmpError(command, message)
    if (message.kind === 'reply') return message.value
    throw new Fault('internal', `Cannot replay the conversation: the answer to ${wanted} is no answer`)
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

function withoutId(message: unknown): unknown {
  if (typeof message !== 'object' || message === null) return message
  return Object.fromEntries(Object.entries(message).filter(([key]) => key !== 'id'))
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, item: unknown) => {
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return item
    return Object.fromEntries(Object.entries(item).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  })
}
