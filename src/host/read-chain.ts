import { realpath } from 'node:fs/promises'
import { dirname, normalize, sep } from 'node:path'
import type { ChainRequest, DetectedLayer, ImageFormat } from '../driver/images.ts'
import type { ImageHeader } from '../image/image-header.ts'
import { ImageHeaderError } from '../image/image-header-error.ts'
import { parseBackingFormat } from '../image/parse-backing-format.ts'
import { parseBackingName } from '../image/parse-backing-name.ts'
import { readImageHeader } from '../image/read-image-header.ts'
import { abortFault } from '../util/abort-fault.ts'
import { Fault } from '../util/fault.ts'
import { explain, type ImageFileStart, readImageStart } from './image-file.ts'

/** QEMU itself fails far below; more is a fault or an attack. */
export const maxChainDepth = 200

/** What a reading of a chain needs besides the request. */
export interface ReadChainOptions {
  readonly signal: AbortSignal
  /** Directories below which files named by images may lie, besides those of the given layers. */
  readonly allowedRoots: readonly string[]
  /** Called once for each file that is opened. */
  readonly onOpen: () => void
}

interface Reading extends ReadChainOptions {
  /** Without symbolic links, each ending in a slash. */
  readonly roots: readonly string[]
  /** First path under which each file was met, by device and inode. */
  readonly seen: Map<string, string>
  readonly layers: DetectedLayer[]
}

interface Link {
  readonly path: string
  readonly format: ImageFormat
}

/**
 * Reads the headers of a chain, active image first: the given layers by their given formats, then, unless the request says that the chain ends there,
 * whatever the last of them names. A format is never guessed: a backing image without a recorded one is refused. The first fault fails the
 * whole reading and names the layer.
 */
export async function readChain(request: ChainRequest, options: ReadChainOptions): Promise<readonly DetectedLayer[]> {
  const reading: Reading = { ...options, roots: await rootsOf(request, options), seen: new Map(), layers: [] }
  let header: ImageHeader | null = null
  for (const link of request.given) header = await readLayer(reading, link)
  while (header !== null && !request.terminated) {
    const next: Link | null = await backingOf(header, reading)
    header = next === null ? null : await readLayer(reading, next)
  }
  return reading.layers
}

async function readLayer(reading: Reading, { path, format }: Link): Promise<ImageHeader> {
  const action = `read layer ${reading.layers.length} of the backing chain`
  if (reading.signal.aborted) throw abortFault(reading.signal, action)
  if (reading.layers.length > maxChainDepth) {
    throw chainFault(path, `Cannot ${action}: "${path}" lies deeper than ${maxChainDepth} images`)
  }
  reading.onOpen()
  const start = await readImageStart(path, { action })
  checkLoop(reading, { path, start })
  const header = parseHeader(path, { format, start })
  if (header.encrypted) throw chainFault(path, `Cannot ${action}: "${path}" is encrypted, only plain images are served`)
  if (header.dataFile !== null) {
    throw chainFault(
      path,
      `Cannot ${action}: "${path}" keeps its data in another file, only images of one file are served`,
    )
  }
  reading.layers.push({ path, format, virtualSizeBytes: header.virtualSizeBytes, file: start.file })
  return header
}

function parseHeader(
  path: string,
  { format, start }: { readonly format: string; readonly start: ImageFileStart },
): ImageHeader {
  try {
    return readImageHeader(start.bytes, { format, fileSizeBytes: start.file.sizeBytes })
  } catch (cause) {
    if (!(cause instanceof ImageHeaderError)) throw cause
    throw chainFault(path, `Cannot read image "${path}": ${cause.message}`, cause)
  }
}

function checkLoop(
  { seen }: Reading,
  { path, start: { file } }: { readonly path: string; readonly start: ImageFileStart },
): void {
  const key = `${file.device}/${file.inode}`
  const earlier = seen.get(key)
  if (earlier !== undefined) {
    const which = earlier === path ? `"${path}"` : `"${path}" (the same file as "${earlier}")`
    throw chainFault(path, `Cannot read the backing chain: it is a loop, ${which} appears in it twice`)
  }
  seen.set(key, path)
}

async function backingOf({ backing }: ImageHeader, { layers, roots }: Reading): Promise<Link | null> {
  const container = layers.at(-1)?.path ?? ''
  if (backing === null) return null
  const action = `follow backing file "${printable(backing.name)}" of image "${container}"`
  const format = parseBackingFormat(backing.format)
  if (format.kind === 'missing') {
    throw chainFault(container, `Cannot ${action}: the image records no format for it, and formats are never guessed`)
  }
  if (format.kind === 'unsupported') throw chainFault(container, `Cannot ${action}: ${printable(format.why)}`)
  const path = await insideRoots(targetPath(backing.name, { container, action }), { roots, action })
  return { path, format: format.format }
}

function targetPath(
  name: string,
  { container, action }: { readonly container: string; readonly action: string },
): string {
  try {
    const target = parseBackingName(name, container)
    if (target.kind === 'file') return target.path
    throw chainFault(container, `Cannot ${action}: ${target.why}`)
  } catch (cause) {
    if (!(cause instanceof ImageHeaderError)) throw cause
    throw chainFault(container, `Cannot ${action}: ${cause.message}`, cause)
  }
}

/** A path found in an image is foreign data: it may lead only to where images are kept. Gives the tidy spelling where that names the same file. */
async function insideRoots(
  path: string,
  { roots, action }: { readonly roots: readonly string[]; readonly action: string },
): Promise<string> {
  let real: string
  try {
    real = await realpath(path)
  } catch (error) {
    throw explain(error, { path, action })
  }
  if (!roots.some((root) => real.startsWith(root))) {
    throw chainFault(
      path,
      `Cannot ${action}: "${real}" lies outside the directories in which backing files are allowed`,
    )
  }
  const tidy = normalize(path)
  return (await realpath(tidy).catch(() => null)) === real ? tidy : path
}

async function rootsOf(request: ChainRequest, { allowedRoots }: ReadChainOptions): Promise<readonly string[]> {
  const directories = [...request.given.map(({ path }) => dirname(path)), ...allowedRoots]
  const roots: string[] = []
  for (const directory of new Set(directories)) {
    const real = await realpath(directory).catch(() => null)
    if (real !== null) roots.push(real.endsWith(sep) ? real : real + sep)
  }
  return roots
}

function chainFault(subject: string, message: string, cause?: unknown): Fault {
  return new Fault('operation_failed', message, { subject, cause })
}

function printable(text: string): string {
  const clean = text.replaceAll(/\p{Cc}/gu, '?')
  return clean.length > 120 ? `${clean.slice(0, 120)}...` : clean
}
