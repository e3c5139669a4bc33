import { catalogue } from '../events/catalogue.ts'
import { categoryOf } from '../events/stream-names.ts'
import type { RecordedEvent } from '../eventstore/recorded-event.ts'
import { localTime } from './format-time.ts'
import { type Output, toned } from './output.ts'
import { shorten } from './text-table.ts'
import { tellEvent, whatOf, whoOf } from './told-event.ts'

const widths = {
  position: 8,
  time: localTime(0n).length,
  who: 20,
  type: Object.keys(catalogue).reduce((most, type) => Math.max(most, type.length), 0),
  subject: 24,
}
const longestWhat = 400

/**
 * The log as lines for people. The columns have fixed widths, so that a log of any length is shown as it is read; what is
 * longer pushes its own line only.
 */
export class LogLines {
  readonly #out: Output
  readonly #names: ReadonlyMap<string, string>
  readonly #withStream: boolean
  #begun = false

  constructor(out: Output, options: { readonly names: ReadonlyMap<string, string>; readonly withStream: boolean }) {
    this.#out = out
    this.#names = options.names
    this.#withStream = options.withStream
  }

  /** Writes one event, before the first one the titles. */
  show(event: RecordedEvent): void {
    if (!this.#begun) this.#out.line(toned(this.#out, 'heading', this.#titles()))
    this.#begun = true
    const told = tellEvent(event)
    const { meta } = told
    const what = shorten(this.#named(whatOf(told)), longestWhat)
    const how = `${meta.procedure}${meta.reason === null ? '' : `, because: ${meta.reason}`}`
    const cells = [
      `@${event.position}`.padStart(widths.position),
      localTime(event.recordedAtUs),
      shorten(whoOf(told), widths.who + 12).padEnd(widths.who),
      event.type.padEnd(widths.type),
      ...(this.#withStream ? [this.#subject(event.stream).padEnd(widths.subject)] : []),
      ...(what === '' ? [] : [what]),
    ]
    this.#out.line(`${cells.join('  ')}  ${toned(this.#out, 'faint', `(${how})`)}`)
  }

  #titles(): string {
    return [
      'POSITION'.padStart(widths.position),
      'TIME'.padEnd(widths.time),
      'WHO'.padEnd(widths.who),
      'EVENT'.padEnd(widths.type),
      ...(this.#withStream ? ['OF'.padEnd(widths.subject)] : []),
      'WHAT (HOW, WHY)',
    ].join('  ')
  }

  /** The domain's name where it is one, else the stream, of whose hashes and UUIDs the beginning is enough for people. */
  #subject(stream: string): string {
    const category = categoryOf(stream)
    const id = stream.slice(category.length + 1)
    if (category === 'domain') return this.#names.get(id) ?? id
    if (/^[0-9a-f]{64}$/.test(id)) return `${category}-${id.slice(0, 12)}…`
    return uuid.test(id) ? `${category}-${id.slice(0, 8)}…` : stream
  }

  /** UUIDs of domains in a text become their names. */
  #named(text: string): string {
    return text.replaceAll(uuids, (found) => this.#names.get(found) ?? found)
  }
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const uuids = /(?<![0-9a-z-])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g
