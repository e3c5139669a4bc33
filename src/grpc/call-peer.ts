import type { Actor } from '../events/metadata.ts'

/** What a caller may do: a reader reads and subscribes to everything, a writer appends as well. */
export type Role = 'reader' | 'writer'

/** Who calls, as appends record it, and what they may do. */
export interface CallPeer {
  readonly actor: Actor
  readonly role: Role
}

/** The other end of a connection, as far as the socket tells. */
export interface ConnectionPeer {
  /** What is known before any credentials are given; a user who gives some is named in its place. */
  readonly actor: Actor
  /** What the connection alone allows: everything where the permissions of the socket's file decide, nothing where anyone can connect. */
  readonly role: Role | null
}
