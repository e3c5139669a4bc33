import type { Codec } from '../xdr/xdr-codec.ts'
import { i32, i64, u64 } from '../xdr/xdr-codec.ts'
import { type Fields, struct } from '../xdr/xdr-composites.ts'
import { limits } from './limits.ts'
import { typedParameters } from './typed-parameter.ts'
import { domainRef, string, stringOrNull } from './wire-types.ts'

/** One message that a server sends by itself. */
export interface EventMessage<Body> {
  readonly number: number
  readonly name: string
  readonly body: Codec<Body>
}

/** What the sender of an event message passes. */
export type BodyOf<M> = M extends EventMessage<infer Body> ? Body : never

/** The number of the event in a registration: `virDomainEventID`. */
export const domainEventId = {
  lifecycle: 0,
  reboot: 1,
  rtcChange: 2,
  watchdog: 3,
  ioError: 4,
  graphics: 5,
  ioErrorReason: 6,
  controlError: 7,
  blockJob: 8,
  diskChange: 9,
  trayChange: 10,
  pmWakeup: 11,
  pmSuspend: 12,
  balloonChange: 13,
  pmSuspendDisk: 14,
  deviceRemoved: 15,
  blockJob2: 16,
  tunable: 17,
  agentLifecycle: 18,
  deviceAdded: 19,
  migrationIteration: 20,
  jobCompleted: 21,
  deviceRemovalFailed: 22,
  metadataChange: 23,
  blockThreshold: 24,
  memoryFailure: 25,
  memoryDeviceSizeChange: 26,
} as const

/** Registrations for event ids from here on are refused. */
export const domainEventIdEnd = 27

const domain = { domain: domainRef }

/** An event sent to a callback id. Most bodies are a struct of their own after the id, which changes nothing on the wire. */
function event<F extends Fields>(number: number, name: string, fields: F) {
  return { number, name, body: struct({ callbackId: i32, ...fields }) }
}

/** Events for registrations with callback ids (316), by the names of `domainEventId`. */
export const callbackEvents = {
  lifecycle: event(318, 'DOMAIN_EVENT_CALLBACK_LIFECYCLE', { ...domain, event: i32, detail: i32 }),
  reboot: event(319, 'DOMAIN_EVENT_CALLBACK_REBOOT', domain),
  rtcChange: event(320, 'DOMAIN_EVENT_CALLBACK_RTC_CHANGE', { ...domain, offsetSeconds: i64 }),
  watchdog: event(321, 'DOMAIN_EVENT_CALLBACK_WATCHDOG', { ...domain, action: i32 }),
  ioError: event(322, 'DOMAIN_EVENT_CALLBACK_IO_ERROR', { ...domain, path: string, alias: string, action: i32 }),
  ioErrorReason: event(324, 'DOMAIN_EVENT_CALLBACK_IO_ERROR_REASON', {
    ...domain,
    path: string,
    alias: string,
    action: i32,
    reason: string,
  }),
  controlError: event(325, 'DOMAIN_EVENT_CALLBACK_CONTROL_ERROR', domain),
  blockJob: event(326, 'DOMAIN_EVENT_CALLBACK_BLOCK_JOB', { ...domain, path: string, type: i32, status: i32 }),
  balloonChange: event(331, 'DOMAIN_EVENT_CALLBACK_BALLOON_CHANGE', { ...domain, actualKib: u64 }),
  deviceRemoved: event(333, 'DOMAIN_EVENT_CALLBACK_DEVICE_REMOVED', { ...domain, alias: string }),
  blockJob2: event(339, 'DOMAIN_EVENT_BLOCK_JOB_2', { ...domain, disk: string, type: i32, status: i32 }),
  tunable: event(346, 'DOMAIN_EVENT_CALLBACK_TUNABLE', { ...domain, parameters: typedParameters(limits.tunables) }),
  agentLifecycle: event(348, 'DOMAIN_EVENT_CALLBACK_AGENT_LIFECYCLE', { ...domain, state: i32, reason: i32 }),
  deviceAdded: event(354, 'DOMAIN_EVENT_CALLBACK_DEVICE_ADDED', { ...domain, alias: string }),
  migrationIteration: event(359, 'DOMAIN_EVENT_CALLBACK_MIGRATION_ITERATION', { ...domain, iteration: i32 }),
  jobCompleted: event(363, 'DOMAIN_EVENT_CALLBACK_JOB_COMPLETED', {
    ...domain,
    parameters: typedParameters(limits.jobStats),
  }),
  deviceRemovalFailed: event(367, 'DOMAIN_EVENT_CALLBACK_DEVICE_REMOVAL_FAILED', { ...domain, alias: string }),
  metadataChange: event(379, 'DOMAIN_EVENT_CALLBACK_METADATA_CHANGE', { ...domain, type: i32, uri: stringOrNull }),
  blockThreshold: event(385, 'DOMAIN_EVENT_BLOCK_THRESHOLD', {
    ...domain,
    disk: string,
    path: stringOrNull,
    threshold: u64,
    excess: u64,
  }),
} as const

/** Events for registrations without callback ids (105 and 167): one per connection and event id. */
export const legacyEvents = {
  lifecycle: {
    number: 107,
    name: 'DOMAIN_EVENT_LIFECYCLE',
    body: struct({ ...domain, event: i32, detail: i32 }),
  },
  reboot: { number: 169, name: 'DOMAIN_EVENT_REBOOT', body: struct(domain) },
  controlError: { number: 224, name: 'DOMAIN_EVENT_CONTROL_ERROR', body: struct(domain) },
  blockJob: {
    number: 241,
    name: 'DOMAIN_EVENT_BLOCK_JOB',
    body: struct({ ...domain, path: string, type: i32, status: i32 }),
  },
} as const

/** Sent to a client that registered a close callback (360) when the server lets the connection go. */
export const connectionClosedEvent = {
  number: 362,
  name: 'CONNECT_EVENT_CONNECTION_CLOSED',
  body: struct({ reason: i32 }),
} as const
