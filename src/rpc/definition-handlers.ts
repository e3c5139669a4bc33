import type { domainDefinitionProcedures } from '../protocol/domain-procedures.ts'
import { Fault } from '../util/fault.ts'
import { type Call, refuseUnknownFlags, requireDomain } from './call.ts'
import type { Handlers } from './dispatcher.ts'
import { documentText } from './document-text.ts'
import { domainRefOf } from './lookup-handlers.ts'
import { soon } from './soon.ts'

/** `virDomainDefineFlags`. */
const defineValidate = 1
/** `virDomainXMLFlags`; updating the CPU only adds detail that these definitions carry anyway. */
const xmlFlag = { secure: 1, inactive: 2, updateCpu: 4, migratable: 8 } as const
const xmlFlags = 15
/** `virDomainUndefineFlagsValues`: managed saves, checkpoints, nvram and TPM state do not exist here, so removing them is done. */
const undefineFlag = {
  managedSave: 1,
  snapshotsMetadata: 2,
  nvram: 4,
  keepNvram: 8,
  checkpointsMetadata: 16,
  tpm: 32,
  keepTpm: 64,
} as const
const undefineFlags = 127
/** `virDomainMetadataType` and `virDomainModificationImpact`. */
const metadataKinds = ['description', 'title', 'element'] as const
const impact = { live: 1, config: 2 } as const

/** Setting metadata is not served yet. */
type Served = Omit<typeof domainDefinitionProcedures, 'domainSetMetadata'>

async function define({ commands, caller }: Call, xml: Uint8Array, validate: boolean) {
  const text = documentText(xml, 'domain definition')
  return { domain: domainRefOf(await commands.defineDomain(caller, { xml: text, validate })) }
}

/** Handlers of definitions. */
export const definitionHandlers: Handlers<Served, Call> = {
  domainDefineXml: (call, { xml }) => define(call, xml, false),
  domainDefineXmlFlags(call, { xml, flags }) {
    refuseUnknownFlags(flags, defineValidate, 'DOMAIN_DEFINE_XML_FLAGS')
    return define(call, xml, (flags & defineValidate) !== 0)
  },
  domainGetXmlDesc({ connection, reads, texts }, { domain, flags }) {
    refuseUnknownFlags(flags, xmlFlags, 'DOMAIN_GET_XML_DESC')
    const secure = (flags & xmlFlag.secure) !== 0
    if (secure && connection.readOnly) {
      throw new Fault('access_denied', 'read only access prevents DOMAIN_GET_XML_DESC with secure flag')
    }
    if ((flags & xmlFlag.migratable) !== 0) {
      throw new Fault('argument_unsupported', 'Cannot print a migratable definition: migration is not served')
    }
    const inactive = (flags & xmlFlag.inactive) !== 0
    return soon(texts.domainXml(requireDomain(reads, domain), { inactive, secure }), (xml) => ({ xml }))
  },
  domainGetAutostart: ({ reads }, { domain }) => ({
    autostart: requireDomain(reads, domain).definition?.autostart === true ? 1 : 0,
  }),
  async domainSetAutostart({ reads, commands, caller }, { domain, autostart }) {
    const { uuid } = requireDomain(reads, domain)
    await commands.setAutostart(caller, { uuid, autostart: autostart !== 0 })
    return {}
  },
  async domainUndefine({ reads, commands, caller }, { domain }) {
    await commands.undefineDomain(caller, { uuid: requireDomain(reads, domain).uuid, dropSnapshots: false })
    return {}
  },
  async domainUndefineFlags({ reads, commands, caller }, { domain, flags }) {
    refuseUnknownFlags(flags, undefineFlags, 'DOMAIN_UNDEFINE_FLAGS')
    const { uuid } = requireDomain(reads, domain)
    await commands.undefineDomain(caller, { uuid, dropSnapshots: (flags & undefineFlag.snapshotsMetadata) !== 0 })
    return {}
  },
  domainGetMetadata({ reads, texts }, { domain, type, uri, flags }) {
    refuseUnknownFlags(flags, impact.live | impact.config, 'DOMAIN_GET_METADATA')
    const kind = metadataKinds[type]
    if (kind === undefined) throw new Fault('invalid_arg', `unknown metadata type ${type}`)
    if ((kind === 'element') !== (uri !== null)) {
      throw new Fault(
        'invalid_arg',
        `a namespace ${kind === 'element' ? 'is required for' : 'must not be given with'} metadata of type ${kind}`,
      )
    }
    const view = requireDomain(reads, domain)
    if ((flags & impact.live) !== 0 && !view.active) throw new Fault('operation_invalid', 'domain is not running')
    return soon(texts.metadata(view, { kind, uri, inactive: (flags & impact.config) !== 0 }), (metadata) => ({
      metadata,
    }))
  },
}
