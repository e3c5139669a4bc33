/** An event for clients that registered for it, in the interface's own numbers. */
export type DomainCallback =
  | { readonly kind: 'lifecycle'; readonly domain: CallbackDomain; readonly event: number; readonly detail: number }
  | { readonly kind: 'reboot'; readonly domain: CallbackDomain }
  | {
      readonly kind: 'blockJob'
      readonly domain: CallbackDomain
      /** Target of the disk, and the path of its active image: when the job began, or after its completion. */
      readonly disk: string
      readonly path: string
      readonly type: number
      readonly status: number
    }
  | {
      readonly kind: 'metadataChange'
      readonly domain: CallbackDomain
      readonly type: number
      readonly uri: string | null
    }

/** The domain as it was when the event happened. */
export interface CallbackDomain {
  readonly name: string
  readonly uuid: string
  readonly id: number
}

/** `virDomainEventType` and, for each, the details that are sent. */
export const lifecycleEvent = {
  defined: { event: 0, detail: { added: 0, updated: 1 } },
  undefined: { event: 1, detail: { removed: 0 } },
  started: { event: 2, detail: { booted: 0 } },
  suspended: { event: 3, detail: { paused: 0 } },
  resumed: { event: 4, detail: { unpaused: 0 } },
  stopped: { event: 5, detail: { shutdown: 0, destroyed: 1, crashed: 2, failed: 5 } },
  shutdown: { event: 6, detail: { finished: 0, guest: 1, host: 2 } },
  crashed: { event: 8, detail: { panicked: 0 } },
} as const

/** `virDomainBlockJobType`. */
export const blockJobType = { pull: 1, copy: 2, commit: 3, active_commit: 4 } as const

/** `virConnectDomainEventBlockJobStatus`. */
export const blockJobStatus = { completed: 0, failed: 1, cancelled: 2, ready: 3 } as const
