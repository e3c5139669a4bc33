import { Fault } from '../util/fault.ts'

/** What a connection URI asks for. */
export interface ConnectionUri {
  readonly driver: 'qemu' | 'test'
  readonly path: '/system' | '/session' | '/default'
  /** Why the changes of this connection are made; recorded with each. */
  readonly reason: string | null
  /** What an active commit of this connection does at READY when the client is gone. */
  readonly onReady: 'pivot' | 'keep'
  /** The string as the client sent it, answered to CONNECT_GET_URI. */
  readonly text: string
}

/** Which URIs this daemon serves: those of its driver. */
export interface ServedDriver {
  readonly driver: 'qemu' | 'test'
}

const paths: Readonly<Record<ConnectionUri['driver'], readonly ConnectionUri['path'][]>> = {
  qemu: ['/system', '/session'],
  test: ['/default'],
}

/** Reasons are kept forever with every change: a sentence, not a document. */
const maxReasonLength = 1000

/**
 * Reads the name of CONNECT_OPEN: `scheme:///path?parameters#fragment`, parameters separated by `&` or `;`, percent-encoded
 * (a bare `+` is a plus). An absent or empty name, which clients send for `remote+unix:///`, means the served driver's
 * default. Unknown parameters are left alone: clients and libvirt add their own. Throws Fault.
 */
export function parseConnectionUri(name: string | null, served: ServedDriver): ConnectionUri {
  const text = name === null || name === '' ? `${served.driver}://${paths[served.driver][0]}` : name
  const match = /^([a-z][a-z0-9+.-]*):(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#.*)?$/i.exec(text)
  const scheme = match?.[1]?.toLowerCase().replace(/\+.*$/, '')
  if (match === null || scheme !== served.driver) {
    throw new Fault(
      'no_connect',
      `${text}: this daemon serves ${served.driver}://${paths[served.driver].join(' and ')}`,
    )
  }
  if (match[2] !== undefined && match[2] !== '') {
    throw new Fault(
      'invalid_arg',
      `Cannot open ${quoted(text)}: it names host ${quoted(match[2])}, this daemon serves its own host only`,
    )
  }
  const path = servedPath(match[3] ?? '', { text, served })
  const parameters = parseParameters(match[4] ?? '', text)
  refuseAsOf(parameters, text)
  return {
    driver: served.driver,
    path,
    reason: reasonOf(parameters, text),
    onReady: onReadyOf(parameters, text),
    text,
  }
}

function servedPath(
  path: string,
  given: { readonly text: string; readonly served: ServedDriver },
): ConnectionUri['path'] {
  const allowed = paths[given.served.driver]
  const found = allowed.find((one) => one === (path === '' || path === '/' ? allowed[0] : path))
  if (found !== undefined) return found
  const { driver } = given.served
  throw new Fault(
    'internal',
    `unexpected ${driver} URI path '${path}', try ${allowed.map((one) => `${driver}://${one}`).join(' or ')}`,
  )
}

/** The last value of each parameter; a parameter without `=` has the value ''. */
function parseParameters(query: string, text: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>()
  for (const part of query.split(/[&;]/)) {
    if (part === '') continue
    const at = part.indexOf('=')
    const key = at < 0 ? part : part.slice(0, at)
    parameters.set(decodePercent(key, text), at < 0 ? '' : decodePercent(part.slice(at + 1), text))
  }
  return parameters
}

function decodePercent(value: string, text: string): string {
  try {
    return decodeURIComponent(value)
  } catch (error) {
    throw new Fault('invalid_arg', `Cannot open ${quoted(text)}: ${quoted(value)} is not valid percent-encoding`, {
      cause: error,
    })
  }
}

function reasonOf(parameters: ReadonlyMap<string, string>, text: string): string | null {
  const reason = parameters.get('reason')
  if (reason === undefined || reason === '') return null
  if (reason.length > maxReasonLength) {
    throw new Fault(
      'invalid_arg',
      `Cannot open ${quoted(text.slice(0, 80))}: its reason has ${reason.length} characters, the limit is ${maxReasonLength}`,
    )
  }
  return reason
}

function onReadyOf(parameters: ReadonlyMap<string, string>, text: string): 'pivot' | 'keep' {
  const wanted = parameters.get('on-ready') ?? 'keep'
  if (wanted === 'pivot' || wanted === 'keep') return wanted
  throw new Fault('invalid_arg', `Cannot open ${quoted(text)}: on-ready is ${quoted(wanted)}, it must be pivot or keep`)
}

/** A moment of the past must never be answered with the present. */
function refuseAsOf(parameters: ReadonlyMap<string, string>, text: string): void {
  const asOf = parameters.get('asof')
  if (asOf === undefined) return
  const message = `Cannot open ${quoted(text)}: connections to a past moment (asof=${asOf}) are not served by this daemon`
  throw new Fault('config_unsupported', message)
}

function quoted(value: string): string {
  return JSON.stringify(value)
}
