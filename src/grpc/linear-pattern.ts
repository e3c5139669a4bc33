import { PatternError, type PatternNode, parsePattern } from './pattern-syntax.ts'

/** A regular expression over names. Unlike a RegExp it takes a time that grows with the length of the name only. */
export interface LinearPattern {
  readonly source: string
  readonly flags: ''
  lastIndex: number
  test(text: string): boolean
}

type State =
  | { readonly kind: 'chars'; readonly matches: (codePoint: number) => boolean; readonly next: number }
  | { readonly kind: 'split'; readonly nexts: readonly number[] }
  | { readonly kind: 'start'; readonly next: number }
  | { readonly kind: 'end'; readonly next: number }
  | { readonly kind: 'match' }

const maxStates = 1_000
const maxMoments = 500
const maxNexts = 256

/**
 * The regular expression of a client, found anywhere in a name unless it says `^` or `$`. All its possibilities are followed at the same
 * time, so that no expression can keep this process busy as backtracking could. Throws {@link PatternError}.
 */
export function linearPattern(source: string): LinearPattern {
  const automaton = new Automaton(compile(parsePattern(source), source))
  return { source, flags: '', lastIndex: 0, test: (text) => automaton.finds(text) }
}

interface Program {
  readonly states: readonly State[]
  readonly first: number
}

/** The states of an expression, built from its end: each part is told which state follows it. */
function compile(node: PatternNode, source: string): Program {
  const states: State[] = []
  const add = (state: State): number => {
    if (states.length >= maxStates) {
      const quoted = JSON.stringify(source)
      throw new PatternError(`Cannot use the regular expression ${quoted}: its repetitions make it too big`)
    }
    return states.push(state) - 1
  }
  const build = (part: PatternNode, next: number): number => {
    switch (part.kind) {
      case 'chars':
        return add({ kind: 'chars', matches: part.matches, next })
      case 'start':
      case 'end':
        return add({ kind: part.kind, next })
      case 'sequence':
        return part.parts.reduceRight((following, each) => build(each, following), next)
      case 'choice':
        return add({ kind: 'split', nexts: part.parts.map((each) => build(each, next)) })
      case 'repeat':
        return buildRepeat(part, next)
    }
  }
  const buildRepeat = ({ part, min, max }: PatternNode & { readonly kind: 'repeat' }, next: number): number => {
    let entry = next
    if (max === Infinity) {
      const nexts: number[] = [next]
      entry = add({ kind: 'split', nexts })
      nexts.push(build(part, entry))
    } else {
      for (let optional = min; optional < max; optional += 1) {
        entry = add({ kind: 'split', nexts: [next, build(part, entry)] })
      }
    }
    for (let needed = 0; needed < min; needed += 1) entry = build(part, entry)
    return entry
  }
  const last = add({ kind: 'match' })
  return { first: build(node, last), states }
}

/** Everything that the expression may be at after some characters. */
interface Moment {
  /** States that wait for a character. */
  readonly waiting: readonly number[]
  readonly matches: boolean
  readonly matchesAtEnd: boolean
  readonly nexts: Map<number, Moment>
}

class Automaton {
  readonly #program: Program
  #moments = new Map<string, Moment>()
  #begin: Moment

  constructor(program: Program) {
    this.#program = program
    this.#begin = this.#moment([program.first], { isStart: true })
  }

  finds(text: string): boolean {
    let moment = this.#begin
    for (const char of text) {
      if (moment.matches) return true
      moment = this.#after(moment, char.codePointAt(0) ?? 0)
    }
    return moment.matches || (text === '' ? this.#matchesEmpty() : moment.matchesAtEnd)
  }

  #matchesEmpty(): boolean {
    return this.#reach([this.#program.first], { isStart: true, isEnd: true }).matches
  }

  #after(moment: Moment, codePoint: number): Moment {
    const known = moment.nexts.get(codePoint)
    if (known !== undefined) return known
    const entered = [this.#program.first] // it may as well begin here
    for (const at of moment.waiting) {
      const state = this.#program.states[at]
      if (state?.kind === 'chars' && state.matches(codePoint)) entered.push(state.next)
    }
    const next = this.#moment(entered, { isStart: false })
    if (moment.nexts.size < maxNexts) moment.nexts.set(codePoint, next)
    return next
  }

  #moment(entered: readonly number[], { isStart }: { readonly isStart: boolean }): Moment {
    const { waiting, matches } = this.#reach(entered, { isStart, isEnd: false })
    const key = `${isStart} ${waiting.join(' ')} ${matches}`
    const atEnd = this.#reach(entered, { isStart, isEnd: true }).matches
    const known = this.#moments.get(`${key} ${atEnd}`)
    if (known !== undefined) return known
    if (this.#moments.size >= maxMoments) this.#forget()
    const moment: Moment = { waiting, matches, matchesAtEnd: atEnd, nexts: new Map() }
    this.#moments.set(`${key} ${atEnd}`, moment)
    return moment
  }

  /** Lets go of all that was worked out: it can be again. */
  #forget(): void {
    this.#moments = new Map()
    this.#begin = { ...this.#begin, nexts: new Map() }
  }

  /** Where the expression can be without another character. */
  #reach(
    entered: readonly number[],
    { isStart, isEnd }: { readonly isStart: boolean; readonly isEnd: boolean },
  ): { readonly waiting: readonly number[]; readonly matches: boolean } {
    const seen = new Set<number>()
    const open = [...entered]
    const waiting: number[] = []
    let matches = false
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      if (seen.has(at)) continue
      seen.add(at)
      const state = this.#program.states[at]
      if (state?.kind === 'chars') waiting.push(at)
      else if (state?.kind === 'split') open.push(...state.nexts)
      else if (state?.kind === 'start' && isStart) open.push(state.next)
      else if (state?.kind === 'end' && isEnd) open.push(state.next)
      else if (state?.kind === 'match') matches = true
    }
    waiting.sort((one, other) => one - other)
    return { waiting, matches }
  }
}
