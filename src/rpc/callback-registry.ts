import { domainEventIdEnd } from '../protocol/event-messages.ts'
import { Fault } from '../util/fault.ts'

/** One wish for events of one kind, of one domain or of all. */
export interface CallbackRegistration {
  readonly callbackId: number
  readonly eventId: number
  /** Null: of every domain. */
  readonly domainUuid: string | null
  /** Registered without a callback id: its events have other message numbers and no id. */
  readonly legacy: boolean
}

/** The event registrations of one connection; callback ids count up and are never used again. */
export class CallbackRegistry {
  readonly #max: number
  readonly #registrations = new Map<number, CallbackRegistration>()
  #nextId = 0

  constructor(max: number) {
    this.#max = max
  }

  /** Registers for events and gives the callback id. Throws Fault for an unknown event or one registration too many. */
  add(eventId: number, wanted: { readonly domainUuid: string | null; readonly legacy: boolean }): number {
    if (eventId < 0 || eventId >= domainEventIdEnd) {
      throw new Fault('internal', `unsupported event ID ${eventId}`)
    }
    if (wanted.legacy && this.#legacy(eventId) !== undefined) {
      throw new Fault('invalid_arg', `event callback already tracked: domain event ${eventId}`)
    }
    return this.#put({ eventId, ...wanted })
  }

  /** Registers for events of an object that this daemon does not have: a callback id that is never called. */
  addSilent(): number {
    return this.#put({ eventId: -1, domainUuid: null, legacy: false })
  }

  /** Ends a registration. Throws Fault when the id is not registered. */
  remove(callbackId: number): void {
    const found = this.#registrations.get(callbackId)
    if (found === undefined || found.legacy) {
      throw new Fault('internal', `domain event callback ${callbackId} not registered`)
    }
    this.#registrations.delete(callbackId)
  }

  /** Ends the registration of an event that has no callback id. */
  removeLegacy(eventId: number): void {
    const found = this.#legacy(eventId)
    if (found === undefined) throw new Fault('internal', `domain event ${eventId} not registered`)
    this.#registrations.delete(found.callbackId)
  }

  /** Registrations that an event of a domain is for. */
  matching(eventId: number, domainUuid: string): readonly CallbackRegistration[] {
    if (this.#registrations.size === 0) return []
    return [...this.#registrations.values()].filter(
      (one) => one.eventId === eventId && (one.domainUuid === null || one.domainUuid === domainUuid),
    )
  }

  #legacy(eventId: number): CallbackRegistration | undefined {
    return [...this.#registrations.values()].find((one) => one.legacy && one.eventId === eventId)
  }

  #put(registration: Omit<CallbackRegistration, 'callbackId'>): number {
    if (this.#registrations.size >= this.#max) {
      throw new Fault(
        'resource_busy',
        `Cannot register another event: this connection has ${this.#max}, the most it may have`,
      )
    }
    const callbackId = this.#nextId++
    this.#registrations.set(callbackId, { callbackId, ...registration })
    return callbackId
  }
}
