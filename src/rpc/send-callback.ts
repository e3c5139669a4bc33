import { callbackEvents, domainEventId, legacyEvents } from '../protocol/event-messages.ts'
import type { CallbackRegistration } from './callback-registry.ts'
import type { ClientConnection } from './client-connection.ts'
import type { DomainCallback } from './domain-callback.ts'

/** Sends an event to every registration of a connection that it is for. */
export function sendCallback(connection: ClientConnection, callback: DomainCallback): void {
  const { uuid } = callback.domain
  for (const registration of connection.callbacks.matching(domainEventId[callback.kind], uuid)) {
    if (registration.legacy) sendLegacy(connection, callback)
    else sendTo(connection, registration, callback)
  }
  if (callback.kind !== 'blockJob') return
  // The second form of the event names the disk by its target, which does not change with the job.
  const { domain, disk, type, status } = callback
  for (const { callbackId } of connection.callbacks.matching(domainEventId.blockJob2, uuid)) {
    connection.transport.send(callbackEvents.blockJob2, { callbackId, domain, disk, type, status })
  }
}

function sendTo({ transport }: ClientConnection, { callbackId }: CallbackRegistration, callback: DomainCallback): void {
  const { domain } = callback
  switch (callback.kind) {
    case 'lifecycle': {
      const { event, detail } = callback
      transport.send(callbackEvents.lifecycle, { callbackId, domain, event, detail })
      return
    }
    case 'reboot':
      transport.send(callbackEvents.reboot, { callbackId, domain })
      return
    case 'blockJob': {
      const { path, type, status } = callback
      transport.send(callbackEvents.blockJob, { callbackId, domain, path, type, status })
      return
    }
    case 'metadataChange': {
      const { type, uri } = callback
      transport.send(callbackEvents.metadataChange, { callbackId, domain, type, uri })
      return
    }
  }
}

function sendLegacy({ transport }: ClientConnection, callback: DomainCallback): void {
  const { domain } = callback
  switch (callback.kind) {
    case 'lifecycle':
      transport.send(legacyEvents.lifecycle, { domain, event: callback.event, detail: callback.detail })
      return
    case 'reboot':
      transport.send(legacyEvents.reboot, { domain })
      return
    case 'blockJob': {
      const { path, type, status } = callback
      transport.send(legacyEvents.blockJob, { domain, path, type, status })
      return
    }
    case 'metadataChange': // younger than callback ids: no client registers for it without one
      return
  }
}
