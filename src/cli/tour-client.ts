import { blockProcedures } from '../protocol/block-procedures.ts'
import {
  domainDefinitionProcedures,
  domainLifecycleProcedures,
  domainLookupProcedures,
  domainStateProcedures,
} from '../protocol/domain-procedures.ts'
import { snapshotProcedures } from '../protocol/snapshot-procedures.ts'
import { ControlClient } from './control-client.ts'
import type { Ended, TourStage } from './tour-stage.ts'

/** What the tour's client asks of the daemon. */
export type TourRequest = 'define' | 'start' | 'list' | 'snapshot' | 'destroy' | 'commit' | 'disks' | 'undefine'

/** The name of the tour's only domain. */
export const tourDomain = 'tour'

/** The reason given for the block commit, by the connection's URI. */
export const tourReason = 'CHG-1234'

/** Bytes a second to which the block commit is held back, in MiB, so that there is time to kill the daemon in the middle. */
const commitMibPerS = 4

const wishes = { reason: tourReason, onReady: 'pivot' } as const

/** The words of virsh for each request, and the parameters that its URI gets. */
const words: Readonly<Record<TourRequest, { readonly words: string; readonly parameters?: string }>> = {
  define: { words: 'define {dir}/tour.xml' },
  start: { words: `start ${tourDomain}` },
  list: { words: 'list --all' },
  snapshot: { words: `snapshot-create-as ${tourDomain} before-upgrade --disk-only --atomic` },
  destroy: { words: `destroy ${tourDomain}` },
  commit: {
    words: `blockcommit ${tourDomain} vda --active --bandwidth ${commitMibPerS}`,
    parameters: `reason=${wishes.reason}&on-ready=${wishes.onReady}`,
  },
  disks: { words: `domblklist ${tourDomain}` },
  undefine: { words: `undefine ${tourDomain} --snapshots-metadata` },
}

/** A request as a person would type it, and how it ended. */
export interface Asked extends Ended {
  readonly typed: string
}

/** Asks by virsh, or by this program's own client where virsh is not installed. */
export async function ask(stage: TourStage, request: TourRequest): Promise<Asked> {
  const { words: text, parameters = '' } = words[request]
  const args = text.replaceAll('{dir}', stage.directory).split(' ')
  const uri = parameters === '' ? '$URI' : `$URI&${parameters}`
  const typed = `virsh -c "${uri}" ${args.join(' ')}`
  if (stage.hasVirsh) return { typed, ...(await stage.run('virsh', ['-c', stage.uri(parameters), ...args])) }
  using client = await ControlClient.open(stage, request === 'commit' ? wishes : {})
  return { typed: `(without virsh) ${typed}`, status: 0, text: await callers[request](client, stage) }
}

const snapshotFlags = { diskOnly: 16, atomic: 128 } as const
const activeCommit = 4
const snapshotsMetadata = 2
const stateNames = ['no state', 'running', 'idle', 'paused', 'in shutdown', 'shut off', 'crashed', 'suspended'] as const

/** The same requests as calls; each gives a line about what came of it. */
const callers: Readonly<Record<TourRequest, (client: ControlClient, stage: TourStage) => Promise<string>>> = {
  async define(client, stage) {
    await client.callInterface(domainDefinitionProcedures.domainDefineXml, { xml: Buffer.from(tourDefinition(stage)) })
    return `Domain '${tourDomain}' defined`
  },
  async start(client) {
    await client.callInterface(domainLifecycleProcedures.domainCreate, { domain: await lookUp(client) })
    return `Domain '${tourDomain}' started`
  },
  async list(client) {
    const domain = await lookUp(client)
    const { state } = await client.callInterface(domainStateProcedures.domainGetState, { domain, flags: 0 })
    return `${domain.id === -1 ? '-' : domain.id}  ${domain.name}  ${stateNames[state] ?? state}`
  },
  async snapshot(client) {
    const xml = Buffer.from('<domainsnapshot><name>before-upgrade</name></domainsnapshot>')
    const flags = snapshotFlags.diskOnly | snapshotFlags.atomic
    await client.callInterface(snapshotProcedures.domainSnapshotCreateXml, { domain: await lookUp(client), xml, flags })
    return 'Domain snapshot before-upgrade created'
  },
  async destroy(client) {
    await client.callInterface(domainLifecycleProcedures.domainDestroy, { domain: await lookUp(client) })
    return `Domain '${tourDomain}' destroyed`
  },
  async commit(client) {
    const domain = await lookUp(client)
    const limit = { bandwidth: BigInt(commitMibPerS), flags: activeCommit }
    await client.callInterface(blockProcedures.domainBlockCommit, {
      domain,
      disk: 'vda',
      base: null,
      top: null,
      ...limit,
    })
    return 'Block commit started'
  },
  async disks(client) {
    const { xml } = await client.callInterface(domainDefinitionProcedures.domainGetXmlDesc, {
      domain: await lookUp(client),
      flags: 0,
    })
    return `vda  ${/<source file='([^']*)'/.exec(xml)?.[1] ?? '-'}`
  },
  async undefine(client) {
    await client.callInterface(domainDefinitionProcedures.domainUndefineFlags, {
      domain: await lookUp(client),
      flags: snapshotsMetadata,
    })
    return `Domain '${tourDomain}' has been undefined`
  },
}

async function lookUp(client: ControlClient) {
  return (await client.callInterface(domainLookupProcedures.domainLookupByName, { name: tourDomain })).domain
}

/** The definition of the tour's domain: one disk, no network, nothing that needs rights. */
export function tourDefinition(stage: TourStage): string {
  return `<domain type='${stage.virtType}'>
  <name>${tourDomain}</name>
  <memory unit='MiB'>64</memory>
  <vcpu>1</vcpu>
  <os><type${stage.isReal ? ` arch='x86_64' machine='q35'` : ''}>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='${stage.at('system.qcow2')}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
`
}
