/** Source of time, so that models and tests can be given another one. */
export interface Clock {
  /** Wall-clock time in microseconds since the epoch. */
  nowUs(): bigint
  /** Milliseconds that never step back; only differences mean something. */
  monotonicMs(): number
}

/** The clocks of this machine. */
export const systemClock: Clock = {
  nowUs: () => BigInt(Date.now()) * 1000n,
  monotonicMs: () => performance.now(),
}
