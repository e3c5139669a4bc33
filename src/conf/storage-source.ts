import { element, type ElementCodec, type Parsed } from '../xml/codec.ts'
import { attribute, child, deferred, optional } from '../xml/parts.ts'
import { anyText, oneOf, unsignedInt } from '../xml/value-codec.ts'

/** Kinds of storage a disk or a layer of its chain may lie on. */
export const storageType = oneOf('file', 'block', 'dir', 'network', 'volume', 'nvme', 'vhostuser', 'vhostvdpa')

/** `<source>` of a disk, a layer or a mirror. Which attributes it has follows from the type of the element around it. */
export const storageSource = element('source', {
  file: optional(attribute('file', anyText)),
  dev: optional(attribute('dev', anyText)),
  dir: optional(attribute('dir', anyText)),
  fdgroup: optional(attribute('fdgroup', anyText)),
  protocol: optional(attribute('protocol', anyText)),
  name: optional(attribute('name', anyText)),
  query: optional(attribute('query', anyText)),
  tls: optional(attribute('tls', anyText)),
  tlsHostname: optional(attribute('tlsHostname', anyText)),
  pool: optional(attribute('pool', anyText)),
  volume: optional(attribute('volume', anyText)),
  mode: optional(attribute('mode', anyText)),
  startupPolicy: optional(attribute('startupPolicy', oneOf('mandatory', 'requisite', 'optional'))),
  /** Identifies the layer in the chain of a running domain: `vda[2]`. Live definitions only. */
  index: optional(attribute('index', unsignedInt)),
})

/** Source of a disk, a layer or a mirror. */
export type StorageSource = Parsed<typeof storageSource>

/** Path of a local source: a file, a block device or a directory. */
export function sourcePath(source: StorageSource | undefined): string | undefined {
  return source?.file ?? source?.dev ?? source?.dir
}

/** `<format>` of a layer. */
const layerFormat = element('format', { type: attribute('type', anyText) })

/** A layer below the active image, as the definition states it. */
export interface BackingLayer extends Parsed<typeof backingLayerTop> {
  /** Absent: not stated, to be detected from here. */
  readonly backingStore?: BackingStore | undefined
}

/** `<backingStore/>` states the end of the chain; with content it states the next layer, which is then never probed. */
export type BackingStore = { readonly kind: 'end' } | { readonly kind: 'layer'; readonly layer: BackingLayer }

const layerShape = {
  type: attribute('type', storageType),
  index: optional(attribute('index', unsignedInt)),
  format: optional(child(layerFormat)),
  source: optional(child(storageSource)),
}
const backingLayerTop = element('backingStore', layerShape)

const backingLayer: ElementCodec<BackingLayer> = element('backingStore', {
  ...layerShape,
  backingStore: optional(child(deferred('backingStore', () => backingStore))),
})

/** `<backingStore>` of a disk or layer. */
export const backingStore: ElementCodec<BackingStore> = {
  name: 'backingStore',
  read(source, path) {
    const empty = source.attributes.length === 0 && source.children.every((node) => node.kind !== 'element')
    return empty ? { kind: 'end' } : { kind: 'layer', layer: backingLayer.read(source, path) }
  },
  write: (value) =>
    value.kind === 'end'
      ? { kind: 'element', name: 'backingStore', attributes: [], children: [] }
      : backingLayer.write(value.layer),
  listKept(value, path, into) {
    if (value.kind === 'layer') backingLayer.listKept(value.layer, path, into)
  },
}

/** `<mirror>`: the other end of a copy or an active commit. Live definitions only. */
export const mirror = element('mirror', {
  type: optional(attribute('type', storageType)),
  file: optional(attribute('file', anyText)),
  job: optional(attribute('job', oneOf('copy', 'active-commit'))),
  ready: optional(attribute('ready', oneOf('yes', 'abort', 'pivot'))),
  format: optional(child(layerFormat)),
  source: optional(child(storageSource)),
  backingStore: optional(child(backingStore)),
})
