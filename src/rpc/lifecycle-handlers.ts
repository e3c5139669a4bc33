import type { domainLifecycleProcedures } from '../protocol/domain-procedures.ts'
import type { DomainRef } from '../protocol/wire-types.ts'
import { Fault } from '../util/fault.ts'
import { type Call, refuseUnknownFlags, requireDomain } from './call.ts'
import type { Handlers } from './dispatcher.ts'
import { domainRefOf } from './lookup-handlers.ts'

/** `virDomainCreateFlags`. Ignoring a managed save is no work: there are none. */
const startFlag = { paused: 1, autodestroy: 2, bypassCache: 4, forceBoot: 8, validate: 16, resetNvram: 32 } as const
const destroyGraceful = 1
/** `virDomainShutdownFlagValues`: without a mode, or by ACPI; there is no other way to ask the guest yet. */
const powerButton = 1

/** Transient domains and rebooting a guest in place are not served yet. */
type Served = Omit<typeof domainLifecycleProcedures, 'domainCreateXml' | 'domainReboot'>

async function start({ reads, commands, caller }: Call, domain: DomainRef, flags: number) {
  refuseUnknownFlags(flags, startFlag.paused | startFlag.forceBoot, 'DOMAIN_CREATE_WITH_FLAGS')
  const { uuid } = requireDomain(reads, domain)
  return commands.startDomain(caller, { uuid, paused: (flags & startFlag.paused) !== 0 })
}

async function destroy({ reads, commands, caller }: Call, domain: DomainRef, flags: number) {
  refuseUnknownFlags(flags, destroyGraceful, 'DOMAIN_DESTROY_FLAGS')
  const { uuid } = requireDomain(reads, domain)
  await commands.destroyDomain(caller, { uuid, graceful: (flags & destroyGraceful) !== 0 })
  return {}
}

async function shutdown({ reads, commands, caller }: Call, domain: DomainRef, flags: number) {
  if ((flags & ~powerButton) !== 0) {
    throw new Fault(
      'argument_unsupported',
      `Cannot shut down by mode 0x${flags.toString(16)}: only ACPI (0x1) is served`,
    )
  }
  await commands.shutdownDomain(caller, requireDomain(reads, domain).uuid)
  return {}
}

/** Handlers that start, stop and pause. */
export const lifecycleHandlers: Handlers<Served, Call> = {
  async domainCreate(call, { domain }) {
    await start(call, domain, 0)
    return {}
  },
  domainCreateWithFlags: async (call, { domain, flags }) => ({ domain: domainRefOf(await start(call, domain, flags)) }),
  domainDestroy: (call, { domain }) => destroy(call, domain, 0),
  domainDestroyFlags: (call, { domain, flags }) => destroy(call, domain, flags),
  domainShutdown: (call, { domain }) => shutdown(call, domain, 0),
  domainShutdownFlags: (call, { domain, flags }) => shutdown(call, domain, flags),
  async domainSuspend({ reads, commands, caller }, { domain }) {
    await commands.suspendDomain(caller, requireDomain(reads, domain).uuid)
    return {}
  },
  async domainResume({ reads, commands, caller }, { domain }) {
    await commands.resumeDomain(caller, requireDomain(reads, domain).uuid)
    return {}
  },
  async domainReset({ reads, commands, caller }, { domain, flags }) {
    refuseUnknownFlags(flags, 0, 'DOMAIN_RESET')
    await commands.resetDomain(caller, requireDomain(reads, domain).uuid)
    return {}
  },
}
