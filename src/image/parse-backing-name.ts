import { ImageHeaderError } from './image-header-error.ts'

/** What a name of another file inside an image means. */
export type BackingTarget =
  | { readonly kind: 'file'; readonly path: string }
  /** Understood and not followed: `why` is half a sentence for an error. */
  | { readonly kind: 'unsupported'; readonly why: string }

// Linux: PATH_MAX counts the terminating NUL.
const maxPathBytes = 4095
const filePrefix = 'file:'

/**
 * Turns the name of a backing or data file, as an image states it, into a path: a relative name begins in the directory of the image
 * that contains it. `..` is kept, because a directory in front of it may be a symbolic link. `json:` and protocol names (a colon before
 * the first slash, as QEMU tells them) are recognised and never followed.
 *
 * ```ts
 * parseBackingName('../base.raw', '/images/web/top.qcow2')   // { kind: 'file', path: '/images/web/../base.raw' }
 * ```
 *
 * Throws ImageHeaderError (rule `backing_name`) for a name that can be no path: empty, with control characters, or too long.
 */
export function parseBackingName(name: string, ofPath: string): BackingTarget {
  checkCharacters(name)
  if (name.startsWith('json:'))
    return { kind: 'unsupported', why: 'it is a JSON description, only plain file names are followed' }
  const protocol = protocolOf(name)
  if (protocol !== null && protocol !== 'file') {
    return {
      kind: 'unsupported',
      why: `it uses the protocol "${quoted(protocol)}", only plain file names are followed`,
    }
  }
  const bare = protocol === 'file' ? withoutFilePrefix(name) : name
  if (bare === '') refuse(name, 'it is empty')
  if (bare.startsWith('/dev/fdset/'))
    return { kind: 'unsupported', why: 'it names a file descriptor of QEMU, only plain file names are followed' }
  const path = bare.startsWith('/') ? bare : directoryOf(ofPath) + bare
  if (Buffer.byteLength(path) > maxPathBytes)
    refuse(name, `its path is ${Buffer.byteLength(path)} bytes long, at most ${maxPathBytes} are allowed`)
  return { kind: 'file', path }
}

/** Text before the colon when that stands before the first slash. */
function protocolOf(name: string): string | null {
  const colon = name.indexOf(':')
  const slash = name.indexOf('/')
  return colon === -1 || (slash !== -1 && slash < colon) ? null : name.slice(0, colon)
}

/** `file:///a` is a URI with an empty host, `file:a` QEMU's own spelling of a path with a colon in it. */
function withoutFilePrefix(name: string): string {
  const rest = name.slice(filePrefix.length)
  return rest.startsWith('///') ? rest.slice(2) : rest
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/') + 1)
}

// A path with control characters cannot be written into a domain's XML.
function checkCharacters(name: string): void {
  for (const character of name) {
    const code = character.codePointAt(0) ?? 0
    if (code < 0x20 || code === 0x7f) refuse(name, `it contains the control character ${code}`)
  }
}

function refuse(name: string, why: string): never {
  throw new ImageHeaderError(`Cannot follow file name "${quoted(name)}" found in an image: ${why}`, {
    rule: 'backing_name',
    offset: null,
  })
}

/** At most 80 characters of a foreign text, without control characters, for an error message. */
function quoted(text: string): string {
  const printable = text.replaceAll(/\p{Cc}/gu, '?')
  return printable.length > 80 ? `${printable.slice(0, 80)}...` : printable
}
