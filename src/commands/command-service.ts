import { adoptChain } from './adopt-chain.ts'
import { changeRun, destroyDomain } from './change-run.ts'
import { checkDomains } from './check-domains.ts'
import type { Commands } from './commands.ts'
import { createSnapshot } from './create-snapshot.ts'
import { defineDomain } from './define-domain.ts'
import { deleteSnapshot } from './delete-snapshot.ts'
import { endBlockJob, setBlockJobSpeed } from './end-block-job.ts'
import { forgetCapabilities } from './forget-capabilities.ts'
import { knownEmulators, probeEmulatorNow } from './probe-emulator.ts'
import type { Host } from './host.ts'
import { newContext } from './run-command.ts'
import { commitBlocks, pullBlocks } from './start-block-job.ts'
import { startDomain } from './start-domain.ts'
import { setAutostart, undefineDomain } from './undefine-domain.ts'

/** All commands on one host, as front ends call them: one row per command. */
export function commandService(host: Host): Commands {
  return {
    defineDomain: async (caller, request) => await defineDomain(host, caller, request),
    undefineDomain: async (caller, request) => await undefineDomain(host, caller, request),
    setAutostart: async (caller, request) => await setAutostart(host, caller, request),
    startDomain: async (caller, request) => await startDomain(host, caller, request),
    suspendDomain: async (caller, uuid) => await changeRun(host, caller, { uuid, change: 'suspend' }),
    resumeDomain: async (caller, uuid) => await changeRun(host, caller, { uuid, change: 'resume' }),
    shutdownDomain: async (caller, uuid) => await changeRun(host, caller, { uuid, change: 'shutdown' }),
    resetDomain: async (caller, uuid) => await changeRun(host, caller, { uuid, change: 'reset' }),
    destroyDomain: async (caller, request) => await destroyDomain(host, caller, request),
    createSnapshot: async (caller, request) => await createSnapshot(host, caller, request),
    deleteSnapshot: async (caller, request) => await deleteSnapshot(host, caller, request),
    pullBlocks: async (caller, request) => await pullBlocks(host, caller, request),
    commitBlocks: async (caller, request) => await commitBlocks(host, caller, request),
    endBlockJob: async (caller, request) => await endBlockJob(host, caller, request),
    setBlockJobSpeed: async (caller, request) => await setBlockJobSpeed(host, caller, request),
    adoptChain: async (caller, request) => await adoptChain(host, caller, request),
    knownEmulators: async () => await knownEmulators(host),
    probeEmulator: async (caller, request) => await probeEmulatorNow(host, caller, request),
    forgetCapabilities: async (caller, request) => await forgetCapabilities(host, caller, request),
    noteRefusal: (caller, fault) => host.refusals.note(newContext(caller), fault, fault.subject ?? null),
    checkDomains: async (caller) => await checkDomains(host, caller),
  }
}
