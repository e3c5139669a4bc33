import { element, type ElementCodec, type Parsed } from '../xml/codec.ts'
import { DefinitionError } from '../xml/definition-error.ts'
import { parseXml, type XmlLimits } from '../xml/parse-xml.ts'
import { attribute, child, children, converted, optional, textChild, verbatim, withDefault } from '../xml/parts.ts'
import { printXml } from '../xml/print-xml.ts'
import { anyText, oneOf, someText, unsignedLong, uuidText, type ValueCodec } from '../xml/value-codec.ts'
import { childOf } from '../xml/xml-node.ts'
import { domain, type DomainDef } from './domain-def.ts'
import { withoutLiveParts } from './live-parts.ts'
import { withoutSecrets } from './secret-paths.ts'
import { storageSource } from './storage-source.ts'

/** A snapshot's name becomes part of file names. */
const snapshotName: ValueCodec<string> = {
  rule: 'snapshot-name',
  wanted: 'a name that is not empty, does not start with "." and holds neither "/" nor a line break',
  parse: (name) => (name === '' || name.startsWith('.') || /[/\n\r]/.test(name) ? undefined : name),
  print: (name) => name,
}

const disk = element('disk', {
  /** Target or path of the disk this is about. */
  name: attribute('name', someText),
  snapshot: optional(attribute('snapshot', oneOf('no', 'internal', 'external', 'manual'))),
  type: optional(attribute('type', oneOf('file', 'block', 'network'))),
  driver: optional(child(element('driver', { type: optional(attribute('type', anyText)) }))),
  source: optional(child(storageSource)),
})

/** What a snapshot does with one disk. */
export type SnapshotDiskDef = Parsed<typeof disk>

/** The definition at the time of the snapshot; a redefinition may give just the UUID of the domain. */
export type SnapshotDomain =
  | { readonly kind: 'definition'; readonly definition: DomainDef }
  | { readonly kind: 'uuid'; readonly uuid: string }

const onlyUuid = element('domain', { uuid: textChild('uuid', uuidText) })

function snapshotDomain(name: 'domain' | 'inactiveDomain'): ElementCodec<SnapshotDomain> {
  return {
    name,
    read: (source, path) =>
      childOf(source, 'name') === undefined
        ? { kind: 'uuid', uuid: onlyUuid.read(source, path).uuid }
        : { kind: 'definition', definition: domain.read(source, path) },
    write(value) {
      const written = value.kind === 'uuid' ? onlyUuid.write(value) : domain.write(withoutLiveParts(value.definition))
      return { ...written, name }
    },
    listKept(value, path, into) {
      if (value.kind === 'definition') domain.listKept(value.definition, path, into)
    },
  }
}

const disksElement = converted(element('disks', { disks: children(disk) }), {
  read: ({ disks }) => disks,
  write: (disks) => ({ disks }),
})

const parentElement = converted(element('parent', { name: textChild('name', someText) }), {
  read: ({ name }) => name,
  write: (name) => ({ name }),
})

const states = oneOf(
  ...(['nostate', 'running', 'blocked', 'paused', 'shutdown', 'shutoff', 'crashed', 'pmsuspended'] as const),
  'disk-snapshot',
)

const snapshot = element('domainsnapshot', {
  name: optional(textChild('name', snapshotName)),
  description: optional(textChild('description', anyText)),
  state: optional(textChild('state', states)),
  parent: optional(child(parentElement)),
  /** Seconds since 1970. */
  creationTime: optional(textChild('creationTime', unsignedLong)),
  memory: optional(
    child(
      element('memory', {
        snapshot: optional(attribute('snapshot', oneOf('no', 'internal', 'external'))),
        file: optional(attribute('file', anyText)),
      }),
    ),
  ),
  disks: withDefault(child(disksElement), []),
  domain: optional(child(snapshotDomain('domain'))),
  inactiveDomain: optional(child(snapshotDomain('inactiveDomain'))),
  cookie: verbatim('cookie'),
  active: verbatim('active'),
})

/** The definition of a snapshot, as asked for or as kept. */
export type SnapshotDef = Parsed<typeof snapshot>

/** Reads `<domainsnapshot>`. Throws XmlError or DefinitionError. */
export function parseSnapshot(xml: Uint8Array | string, limits: Partial<XmlLimits> = {}): SnapshotDef {
  const root = parseXml(xml, limits)
  if (root.name === snapshot.name) return snapshot.read(root, snapshot.name)
  const message = `Cannot read snapshot: the root element is <${root.name}>, it must be <${snapshot.name}>`
  throw new DefinitionError({ element: root.name, rule: 'root-element', message })
}

/** Prints a snapshot with the definition it keeps; secrets only when asked for. */
export function formatSnapshot(def: SnapshotDef, options: { readonly secure?: boolean } = {}): string {
  const written = snapshot.write(def)
  // Printed by the reference without a list when there is nothing in it.
  const shown = { ...written, children: written.children.filter((node) => !isEmptyList(node)) }
  return printXml(options.secure === true ? shown : withoutSecrets(shown), { indent: 2 })
}

function isEmptyList(node: { readonly kind: string; readonly name?: string; readonly children?: readonly unknown[] }) {
  return node.kind === 'element' && node.name === 'disks' && node.children?.length === 0
}
