import type { Actor } from '../events/metadata.ts'

/** On whose behalf, by which procedure and why something is done; comes from the connection and is recorded with every fact. */
export interface Caller {
  readonly actor: Actor
  /** Name in the procedure table, for example `DOMAIN_DEFINE_XML`. */
  readonly procedure: string
  /** `?reason=` of the connection URI; null when none was given. */
  readonly reason: string | null
  /** `?on-ready=pivot` of the connection URI: active commits of this connection pivot by themselves. */
  readonly onReady: 'pivot' | 'keep'
}
