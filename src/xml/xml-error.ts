import { Fault } from '../util/fault.ts'

/** Short ids of the rules by which a document is not XML for us. */
export type XmlRule =
  | 'size'
  | 'encoding'
  | 'character'
  | 'syntax'
  | 'doctype'
  | 'one-root'
  | 'text-outside-root'
  | 'entity'
  | 'duplicate-attribute'
  | 'tag-mismatch'
  | 'unclosed'
  | 'depth'
  | 'node-count'

/** Where a document stops being XML; both numbers count from 1, columns in UTF-16 units. */
export interface XmlPosition {
  readonly line: number
  readonly column: number
}

/** A document that is not well-formed, or exceeds a limit. Nothing of it was used. */
export class XmlError extends Fault {
  override readonly name = 'XmlError'
  readonly rule: XmlRule
  readonly line: number
  readonly column: number

  constructor(rule: XmlRule, position: XmlPosition, what: string) {
    super('xml_malformed', `Cannot parse XML at line ${position.line}, column ${position.column}: ${what}`)
    this.rule = rule
    this.line = position.line
    this.column = position.column
  }
}

/** Line and column of an offset; only worth its cost when something is wrong. */
export function positionAt(text: string, offset: number): XmlPosition {
  let line = 1
  let start = 0
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', at + 1)) {
    line++
    start = at + 1
  }
  return { line, column: offset - start + 1 }
}
