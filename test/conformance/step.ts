/** What a step does. `{dir}` in a text stands for the directory of the story's files. */
export type Action =
  /** A virsh command; its words are separated by blanks. */
  | { readonly kind: 'virsh'; readonly words: string; readonly shown: Shown }
  /** The same command again and again until its output matches. */
  | { readonly kind: 'until'; readonly words: string; readonly matches: RegExp }
  /** One virsh that reads commands from its standard input; `idle` lets the time of an idle connection pass. */
  | { readonly kind: 'session'; readonly flags: string; readonly lines: readonly string[] }
  /** Waits until the guest has completed more blocks on that image than when the step began. */
  | { readonly kind: 'guest writes'; readonly image: string }
  /** Which completed blocks of the guest are missing from an image and its chain. The guest must be off. */
  | { readonly kind: 'verify writes'; readonly image: string }
  /** The story of the Python binding, a program of its own that prints what it saw. */
  | { readonly kind: 'python' }
  /** A call that no client library makes: an unknown procedure, program, or a cut message. */
  | { readonly kind: 'raw call'; readonly call: RawCall }
  /** What the listener that runs beside the story has heard of one kind of event, oldest first. */
  | { readonly kind: 'heard'; readonly event: string }

/** Calls that are answered with an error, after which the connection is still good. */
export type RawCall = 'unknown procedure' | 'unknown program' | 'cut message'

/** How the output of a command becomes fields: whole, as a document or some elements of it, or by matching lines. */
export type Shown =
  | { readonly as: 'text' }
  | { readonly as: 'xml' }
  | { readonly as: 'elements'; readonly paths: readonly string[] }
  | { readonly as: 'lines'; readonly like: RegExp }
  /** The guests of a capabilities document, each under its architecture, its machines sorted. */
  | { readonly as: 'guests' }

/** One step of the story. Names are unique. */
export interface Step {
  readonly name: string
  readonly action: Action
  /** Exit status that both sides must give. */
  readonly exit: number
  /** What the output must show on each side, whatever the other says. */
  readonly says: RegExp | null
}

interface StepOptions {
  readonly name?: string
  readonly exit?: number
  readonly says?: RegExp
  readonly shown?: Shown
}

/** A virsh command that must succeed, named like itself unless a name is given. */
export function virsh(words: string, options: StepOptions = {}): Step {
  const { name = words, exit = 0, says = null, shown = { as: 'text' } } = options
  return { name, action: { kind: 'virsh', words, shown }, exit, says }
}

/** A virsh command that must be refused; what stands in front of the daemon's own words is compared. */
export function refused(words: string, name = `${words} (refused)`): Step {
  return virsh(words, { name, exit: 1 })
}

/** A virsh command whose output is a document that is compared as a whole. */
export function virshXml(words: string, name = words): Step {
  return virsh(words, { name, shown: { as: 'xml' } })
}

/** A step of another kind. */
export function step(
  name: string,
  action: Action,
  options: { readonly says?: RegExp; readonly exit?: number } = {},
): Step {
  return { name, action, exit: options.exit ?? 0, says: options.says ?? null }
}
