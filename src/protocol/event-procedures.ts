import { nothing, optional, struct } from '../xdr/xdr-composites.ts'
import { i32 } from '../xdr/xdr-codec.ts'
import { procedure } from './procedure.ts'
import { domainRef, networkRef, nodeDeviceRef, secretRef, storagePoolRef } from './wire-types.ts'

const query = { class: 'query' } as const
const eventId = struct({ eventId: i32 })
const callbackId = struct({ callbackId: i32 })

/** Registrations for events. The forms without callback ids are what clients use when feature 14 is answered by 0. */
export const eventProcedures = {
  connectDomainEventRegister: procedure(
    105,
    'CONNECT_DOMAIN_EVENT_REGISTER',
    nothing,
    struct({ registered: i32 }),
    query,
  ),
  connectDomainEventDeregister: procedure(
    106,
    'CONNECT_DOMAIN_EVENT_DEREGISTER',
    nothing,
    struct({ registered: i32 }),
    query,
  ),
  connectDomainEventRegisterAny: procedure(167, 'CONNECT_DOMAIN_EVENT_REGISTER_ANY', eventId, nothing, query),
  connectDomainEventDeregisterAny: procedure(168, 'CONNECT_DOMAIN_EVENT_DEREGISTER_ANY', eventId, nothing, query),
  connectNetworkEventRegisterAny: procedure(
    313,
    'CONNECT_NETWORK_EVENT_REGISTER_ANY',
    struct({ eventId: i32, network: optional(networkRef) }),
    callbackId,
    query,
  ),
  connectNetworkEventDeregisterAny: procedure(314, 'CONNECT_NETWORK_EVENT_DEREGISTER_ANY', callbackId, nothing, query),
  connectDomainEventCallbackRegisterAny: procedure(
    316,
    'CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY',
    struct({ eventId: i32, domain: optional(domainRef) }),
    callbackId,
    query,
  ),
  connectDomainEventCallbackDeregisterAny: procedure(
    317,
    'CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY',
    callbackId,
    nothing,
    query,
  ),
  connectRegisterCloseCallback: procedure(360, 'CONNECT_REGISTER_CLOSE_CALLBACK', nothing, nothing, query),
  connectUnregisterCloseCallback: procedure(361, 'CONNECT_UNREGISTER_CLOSE_CALLBACK', nothing, nothing, query),
  connectStoragePoolEventRegisterAny: procedure(
    368,
    'CONNECT_STORAGE_POOL_EVENT_REGISTER_ANY',
    struct({ eventId: i32, pool: optional(storagePoolRef) }),
    callbackId,
    query,
  ),
  connectStoragePoolEventDeregisterAny: procedure(
    369,
    'CONNECT_STORAGE_POOL_EVENT_DEREGISTER_ANY',
    callbackId,
    nothing,
    query,
  ),
  connectNodeDeviceEventRegisterAny: procedure(
    374,
    'CONNECT_NODE_DEVICE_EVENT_REGISTER_ANY',
    struct({ eventId: i32, device: optional(nodeDeviceRef) }),
    callbackId,
    query,
  ),
  connectNodeDeviceEventDeregisterAny: procedure(
    375,
    'CONNECT_NODE_DEVICE_EVENT_DEREGISTER_ANY',
    callbackId,
    nothing,
    query,
  ),
  connectSecretEventRegisterAny: procedure(
    380,
    'CONNECT_SECRET_EVENT_REGISTER_ANY',
    struct({ eventId: i32, secret: optional(secretRef) }),
    callbackId,
    query,
  ),
  connectSecretEventDeregisterAny: procedure(381, 'CONNECT_SECRET_EVENT_DEREGISTER_ANY', callbackId, nothing, query),
} as const
