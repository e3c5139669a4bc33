/** Takes part in the commits of an event store, in their transactions: the read models of `chronovisor/readmodel`. */
export interface Participant {
  readonly name: string
}
