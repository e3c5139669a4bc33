import type { DomainDef } from '../conf/domain-def.ts'
import { type LiveValues, withLive } from '../conf/live-def.ts'
import { Fault } from '../util/fault.ts'
import * as v from 'valibot'
import type { Host } from './host.ts'
import type { DomainView } from './reads.ts'

/** The definition of the next start. Throws for a transient domain, which has none. */
export async function nextDefinition(host: Pick<Host, 'texts'>, domain: DomainView): Promise<DomainDef> {
  if (domain.definition === null)
    throw new Fault(
      'operation_invalid',
      `Cannot read the definition of the next start: domain "${domain.name}" is transient`,
    )
  return await host.texts.definition(domain.definition.definition_sha256)
}

/** The definition of the running machine: what it was started with, its chains as they are now, and what its process was given. */
export async function liveDefinition(host: Pick<Host, 'texts' | 'reads'>, domain: DomainView): Promise<DomainDef> {
  const { run } = domain
  if (run === null || !domain.active) return await nextDefinition(host, domain)
  const started = await host.texts.definition(run.live_definition_sha256)
  return withLive(started, new Map(Object.entries(host.reads.chains(domain.uuid).byDisk)), liveValues(run))
}

const terminalsSchema = v.record(v.string(), v.string())
const portsSchema = v.array(v.number())

function liveValues(run: NonNullable<DomainView['run']>): LiveValues {
  return {
    vncPorts: v.parse(portsSchema, JSON.parse(run.vnc_ports)),
    terminals: v.parse(terminalsSchema, JSON.parse(run.terminals)),
  }
}
