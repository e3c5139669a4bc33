import * as v from 'valibot'
import { Fault } from '../util/fault.ts'
import type { QmpAnswer } from './qmp-message.ts'

/** What QEMU answered to a question. */
export type Answer =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'error'; readonly errorClass: string; readonly description: string }

/** A question of a conversation, with its answer. */
export interface Exchange {
  readonly command: string
  readonly args: object
  readonly answer: Answer
}

/** A question and its answer as JSON text, and the answer as it was understood when it came. */
export interface HeardExchange {
  readonly command: string
  readonly answer: string
  readonly understood: QmpAnswer
}

const command = v.object({ execute: v.string(), arguments: v.optional(v.record(v.string(), v.unknown()), {}) })
const error = v.object({ error: v.object({ class: v.string(), desc: v.string() }) })
const value = v.object({ return: v.unknown() })

/**
 * A recorded conversation: sections that each begin with qmp_capabilities, since the emulator was started anew for each. Answers are
 * found by question, in whichever order these came.
 */
export class ProbeConversation {
  readonly sections: readonly (readonly Exchange[])[]
  readonly #answers: readonly ReadonlyMap<string, Answer>[]

  private constructor(sections: readonly (readonly Exchange[])[]) {
    this.sections = sections
    this.#answers = sections.map((section) => new Map(section.map((each) => [keyOf(each), each.answer])))
  }

  /** Reads JSON objects, separated by one empty line, command and answer in turn. Throws Fault naming the message that is neither. */
  static parse(text: string): ProbeConversation {
    return ProbeConversation.of(text.split(/\n[ \t]*\n+/).filter((part) => part.trim() !== ''))
  }

  /** The same from the messages one by one. */
  static of(messages: readonly string[]): ProbeConversation {
    if (messages.length % 2 !== 0)
      throw new Fault('invalid_arg', 'Cannot read the conversation: the last question has no answer')
    const sections: Exchange[][] = []
    for (let at = 0; at < messages.length; at += 2) {
      const exchange = readExchange(messages.slice(at, at + 2), at)
      if (exchange.command === 'qmp_capabilities' || sections.length === 0) sections.push([])
      sections.at(-1)?.push(exchange)
    }
    return new ProbeConversation(sections)
  }

  /** The same from messages that were understood when they were heard, section by section: what is large is not read twice. */
  static heard(sections: readonly (readonly HeardExchange[])[]): ProbeConversation {
    const spoken = sections.filter((section) => section.length > 0)
    return new ProbeConversation(
      spoken.map((section) =>
        section.map(({ command: asked, answer, understood }, at) => {
          if (hasWideNumber(answer)) return readExchange([asked, answer], 2 * at)
          return { ...readCommand(asked, 2 * at), answer: answerOf(understood) }
        }),
      ),
    )
  }

  /** The answer in a section; undefined where it was not asked. */
  answer(section: number, question: { readonly command: string; readonly args?: object }): Answer | undefined {
    return this.#answers[section]?.get(keyOf(question))
  }

  /** The value that was answered; undefined where it was not asked or refused. */
  value(section: number, question: { readonly command: string; readonly args?: object }): unknown {
    const answer = this.answer(section, question)
    return answer?.kind === 'value' ? answer.value : undefined
  }
}

function readExchange([question = '', reply = '']: readonly string[], at: number): Exchange {
  const asked = readCommand(question, at)
  const parsed = parseJson(reply, at + 1)
  const failed = v.safeParse(error, parsed)
  if (failed.success) {
    const { class: errorClass, desc } = failed.output.error
    return { ...asked, answer: { kind: 'error', errorClass, description: desc } }
  }
  const answered = v.safeParse(value, parsed)
  if (!answered.success) throw notUnderstood(at + 1, 'neither a QMP reply nor an error')
  return { ...asked, answer: { kind: 'value', value: answered.output.return } }
}

function readCommand(question: string, at: number): Pick<Exchange, 'command' | 'args'> {
  const asked = v.safeParse(command, parseJson(question, at))
  if (!asked.success) throw notUnderstood(at, 'no QMP command')
  return { command: asked.output.execute, args: asked.output.arguments }
}

function answerOf(understood: QmpAnswer): Answer {
  if (understood.kind === 'reply') return { kind: 'value', value: understood.value }
  const { errorClass, description } = understood
  return { kind: 'error', errorClass, description }
}

function parseJson(text: string, at: number): unknown {
  try {
    // Looking at each value costs more than reading them all.
    return hasWideNumber(text) ? JSON.parse(text, exactInteger) : JSON.parse(text)
  } catch (cause) {
    throw notUnderstood(at, 'no JSON', cause)
  }
}

/** Whether some number may be too wide for a double: it has so many digits. */
function hasWideNumber(json: string): boolean {
  return /\d{16}/.test(json)
}

/** QEMU's integers are 64 bits wide: those that a double cannot hold become bigint. */
function exactInteger(_key: string, item: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source
  return typeof item === 'number' && source !== undefined && /^-?\d{16,}$/.test(source) && !Number.isSafeInteger(item)
    ? BigInt(source)
    : item
}

function notUnderstood(at: number, why: string, cause?: unknown): Fault {
  return new Fault('invalid_arg', `Cannot read the conversation: message ${at + 1} is ${why}`, { cause })
}

function keyOf({ command: name, args = {} }: { readonly command: string; readonly args?: object }): string {
  return `${name} ${canonical(args)}`
}

function canonical(args: unknown): string {
  return JSON.stringify(args, (_key, item: unknown) => {
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return item
    return Object.fromEntries(Object.entries(item).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  })
}
