import type { domainStateProcedures } from '../protocol/domain-procedures.ts'
import type { DomainView } from '../commands/reads.ts'
import type { DomainDef } from '../conf/domain-def.ts'
import { limits } from '../protocol/limits.ts'
import { Fault } from '../util/fault.ts'
import { type Call, refuseUnknownFlags, requireCount, requireDomain } from './call.ts'
import { cpuBits } from './connection-handlers.ts'
import type { Handlers } from './dispatcher.ts'
import { type Soon, soon } from './soon.ts'
import { stateNumbers } from './state-numbers.ts'

/** `virDomainVcpuFlags`. */
const vcpuFlag = { live: 1, config: 2, maximum: 4, guest: 8 } as const
const vcpuRunning = 1
const notRunning = 'domain is not running'

function definitionOf({ domains }: Call, domain: DomainView, inactive = false): Soon<DomainDef> {
  return domains.definition(domain, { inactive })
}

/** Handlers that say what a domain is and does, from memory. */
export const stateHandlers: Handlers<typeof domainStateProcedures, Call> = {
  domainGetInfo(call, { domain }) {
    const view = requireDomain(call.reads, domain)
    const sample = view.active ? call.domains.sample(view.uuid) : null
    return soon(definitionOf(call, view), (def) => ({
      state: stateNumbers(view).state,
      maxMemoryKib: def.memory.kib,
      memoryKib: memoryKib(def, sample?.balloonBytes ?? null),
      vcpus: def.vcpu.current ?? def.vcpu.count,
      cpuTimeNs: sample?.cpuTimeNs ?? 0n,
    }))
  },
  domainGetState({ reads }, { domain, flags }) {
    refuseUnknownFlags(flags, 0, 'DOMAIN_GET_STATE')
    return stateNumbers(requireDomain(reads, domain))
  },
  domainGetMaxMemory: (call, { domain }) =>
    soon(definitionOf(call, requireDomain(call.reads, domain)), (def) => ({ memoryKib: def.memory.kib })),
  domainGetMaxVcpus: (call, { domain }) =>
    soon(definitionOf(call, requireDomain(call.reads, domain)), (def) => ({ count: def.vcpu.count })),
  domainGetOsType: (call, { domain }) =>
    soon(definitionOf(call, requireDomain(call.reads, domain)), (def) => ({ type: def.os.type.value })),
  domainGetVcpus(call, { domain, maxInfo, mapBytes }) {
    const view = requireDomain(call.reads, domain)
    if (!view.active) throw new Fault('operation_invalid', 'cannot retrieve vcpu information for inactive domain')
    requireCount(mapBytes, 'maplen')
    return soon(definitionOf(call, view), (def) =>
      vcpuRows(call, Math.min(requireCount(maxInfo, 'maxinfo'), vcpus(def)), mapBytes),
    )
  },
  domainGetVcpusFlags(call, { domain, flags }) {
    refuseUnknownFlags(flags, 15, 'DOMAIN_GET_VCPUS_FLAGS')
    if ((flags & vcpuFlag.guest) !== 0) throw new Fault('argument_unsupported', 'QEMU guest agent is not configured')
    const view = requireDomain(call.reads, domain)
    if ((flags & vcpuFlag.live) !== 0 && !view.active) throw new Fault('operation_invalid', notRunning)
    if ((flags & vcpuFlag.config) !== 0 && view.definition === null) {
      throw new Fault('operation_invalid', 'transient domains do not have any persistent config')
    }
    return soon(definitionOf(call, view, (flags & vcpuFlag.config) !== 0), (def) => ({
      count: (flags & vcpuFlag.maximum) === 0 ? vcpus(def) : def.vcpu.count,
    }))
  },
  domainGetSecurityLabel({ reads }, { domain }) {
    requireDomain(reads, domain)
    return { label: '', enforcing: 0 }
  },
  domainGetSecurityLabelList({ reads }, { domain }) {
    requireDomain(reads, domain)
    return { labels: [], count: 0 }
  },
  domainIsActive: ({ reads }, { domain }) => ({ active: requireDomain(reads, domain).active ? 1 : 0 }),
  domainIsPersistent: ({ reads }, { domain }) => ({
    persistent: requireDomain(reads, domain).definition === null ? 0 : 1,
  }),
  domainIsUpdated({ reads }, { domain }) {
    const { active, run, definition } = requireDomain(reads, domain)
    const changed = active && definition !== null && run?.live_definition_sha256 !== definition.definition_sha256
    return { updated: changed ? 1 : 0 }
  },
  domainHasManagedSaveImage({ reads }, { domain, flags }) {
    refuseUnknownFlags(flags, 0, 'DOMAIN_HAS_MANAGED_SAVE_IMAGE')
    requireDomain(reads, domain)
    return { result: 0 }
  },
  domainGetControlInfo({ reads }, { domain, flags }) {
    refuseUnknownFlags(flags, 0, 'DOMAIN_GET_CONTROL_INFO')
    if (!requireDomain(reads, domain).active) throw new Fault('operation_invalid', notRunning)
    return { state: 0, details: 0, stateTimeMs: 0n }
  },
  domainGetMessages({ reads }, { domain, flags }) {
    refuseUnknownFlags(flags, 3, 'DOMAIN_GET_MESSAGES')
    requireDomain(reads, domain)
    return { messages: [] }
  },
}

function vcpus(def: DomainDef): number {
  return def.vcpu.current ?? def.vcpu.count
}

function memoryKib(def: DomainDef, balloonBytes: bigint | null): bigint {
  return balloonBytes === null ? (def.currentMemory?.kib ?? def.memory.kib) : balloonBytes / 1024n
}

/** vCPU threads are not pinned and not timed one by one: each may run on every CPU of the host. */
function vcpuRows({ host }: Call, count: number, mapBytes: number) {
  const everywhere = cpuBits(host.onlineCpus())
  if (count * mapBytes > limits.cpuMapsBytes) {
    throw new Fault(
      'invalid_arg',
      `${count} CPU maps of ${mapBytes} bytes are over the limit of ${limits.cpuMapsBytes}`,
    )
  }
  const cpuMaps = new Uint8Array(count * mapBytes)
  for (let vcpu = 0; vcpu < count; vcpu++) cpuMaps.set(everywhere.subarray(0, mapBytes), vcpu * mapBytes)
  const rows = Array.from({ length: count }, (_, number) => ({ number, state: vcpuRunning, cpuTimeNs: 0n, cpu: -1 }))
  return { vcpus: rows, cpuMaps }
}
