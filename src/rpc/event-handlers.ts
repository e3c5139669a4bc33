import { domainEventId } from '../protocol/event-messages.ts'
import type { eventProcedures } from '../protocol/event-procedures.ts'
import { type Call, requireDomain } from './call.ts'
import type { Handlers } from './dispatcher.ts'

/** Objects that do not exist here have no events: their registrations get an id that is never called. */
function registerSilent({ connection }: Call): { readonly callbackId: number } {
  return { callbackId: connection.callbacks.addSilent() }
}

function deregister({ connection }: Call, { callbackId }: { readonly callbackId: number }): Record<never, never> {
  connection.callbacks.remove(callbackId)
  return {}
}

/** Handlers of event registrations. */
export const eventHandlers: Handlers<typeof eventProcedures, Call> = {
  connectDomainEventRegister({ connection }) {
    connection.callbacks.add(domainEventId.lifecycle, { domainUuid: null, legacy: true })
    return { registered: 0 } // what libvirtd answers; no client reads it
  },
  connectDomainEventDeregister({ connection }) {
    connection.callbacks.removeLegacy(domainEventId.lifecycle)
    return { registered: 0 }
  },
  connectDomainEventRegisterAny({ connection }, { eventId }) {
    connection.callbacks.add(eventId, { domainUuid: null, legacy: true })
    return {}
  },
  connectDomainEventDeregisterAny({ connection }, { eventId }) {
    connection.callbacks.removeLegacy(eventId)
    return {}
  },
  connectDomainEventCallbackRegisterAny({ connection, reads }, { eventId, domain }) {
    const domainUuid = domain === null ? null : requireDomain(reads, domain).uuid
    return { callbackId: connection.callbacks.add(eventId, { domainUuid, legacy: false }) }
  },
  connectDomainEventCallbackDeregisterAny: deregister,
  // The close callback tells of a hypervisor connection that a server lost; this server's end is the socket's end.
  connectRegisterCloseCallback: () => ({}),
  connectUnregisterCloseCallback: () => ({}),
  connectNetworkEventRegisterAny: registerSilent,
  connectNetworkEventDeregisterAny: deregister,
  connectStoragePoolEventRegisterAny: registerSilent,
  connectStoragePoolEventDeregisterAny: deregister,
  connectNodeDeviceEventRegisterAny: registerSilent,
  connectNodeDeviceEventDeregisterAny: deregister,
  connectSecretEventRegisterAny: registerSilent,
  connectSecretEventDeregisterAny: deregister,
}
