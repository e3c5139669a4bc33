/** The programs that share one connection; a program number and a version select a procedure table. */
export const programs = {
  remote: { number: 0x20008086, version: 1 },
  qemu: { number: 0x20008087, version: 1 },
  lxc: { number: 0x20008088, version: 1 },
  keepalive: { number: 0x6b656570, version: 1 },
  /** Our own: what the command line asks of its daemon. */
  control: { number: 0x43485256, version: 1 },
} as const

/** Word 5 of a header: what kind of message this is. */
export const messageType = {
  call: 0,
  reply: 1,
  /** A message nobody asked for: an event, a ping or a pong. */
  message: 2,
  stream: 3,
  callWithFds: 4,
  replyWithFds: 5,
  streamHole: 6,
} as const

/** Word 7 of a header. Calls and messages are always `ok`; `continue` is a stream's data. */
export const messageStatus = { ok: 0, error: 1, continue: 2 } as const

/** Procedures of the keepalive program; both have no payload and serial 0. */
export const keepaliveProcedure = { ping: 1, pong: 2 } as const

/** Features that a client asks for by CONNECT_SUPPORTS_FEATURE and that this server knows. */
export const feature = {
  /** Typed parameters may carry strings. */
  typedParameterStrings: 9,
  /** Asked by a client that will answer pings. */
  keepalive: 10,
  /** Event registrations have callback ids of their own (316 and 317). */
  eventCallbacks: 14,
  closeCallback: 15,
} as const
