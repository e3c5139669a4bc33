/** Bounds of the server; every queue and every wait of a connection ends here. */
export interface RpcLimits {
  /** Connections of all sockets together; one more is closed at once. */
  readonly maxConnections: number
  /** Calls of one connection that are being answered; more wait their turn. */
  readonly maxCallsInFlight: number
  /** Calls of one connection that wait; beyond that nothing more is read from it until one is answered. */
  readonly maxCallsWaiting: number
  /** Bytes of waiting calls of one connection, with the same consequence. */
  readonly maxWaitingBytes: number
  /** Unsent bytes of one connection beyond which nothing is read from it until it has taken them. */
  readonly sendHighWaterBytes: number
  /** Unsent bytes of one connection beyond which it is closed: its client does not read. */
  readonly maxUnsentBytes: number
  /** Silence after which a client that understands pings is sent one. */
  readonly keepaliveIntervalMs: number
  /** Unanswered pings after which a connection is closed. */
  readonly keepaliveCount: number
  /** Event registrations of one connection. */
  readonly maxCallbacks: number
}

/** Defaults: keepalive as libvirtd has it; unsent bytes leave room for one reply of the greatest size. */
export const defaultRpcLimits: RpcLimits = {
  maxConnections: 10_240,
  maxCallsInFlight: 64,
  maxCallsWaiting: 256,
  maxWaitingBytes: 8 * 1024 * 1024,
  sendHighWaterBytes: 1024 * 1024,
  maxUnsentBytes: 64 * 1024 * 1024,
  keepaliveIntervalMs: 5000,
  keepaliveCount: 5,
  maxCallbacks: 1024,
}
