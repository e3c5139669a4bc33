/** A call of the protocol, by its full name. */
export interface CallRow {
  readonly path: string
  /** What newer clients ask for by name in the list of supported methods. */
  readonly features?: readonly string[]
}

/** Calls that are served. */
export const servedCalls = {
  read: { path: '/event_store.client.streams.Streams/Read', features: ['position', 'events'] },
  append: { path: '/event_store.client.streams.Streams/Append' },
  batchAppend: {
    path: '/event_store.client.streams.Streams/BatchAppend',
    features: ['deadline_duration'],
  },
  getSupportedMethods: { path: '/event_store.client.server_features.ServerFeatures/GetSupportedMethods' },
  readGossip: { path: '/event_store.client.gossip.Gossip/Read' },
} as const satisfies Readonly<Record<string, CallRow>>

/** Calls of the protocol that are not served, by service, with what a client that tries is told. */
export const unservedCalls: readonly {
  readonly service: string
  readonly methods: readonly string[]
  readonly why: string
}[] = [
  {
    service: 'event_store.client.streams.Streams',
    methods: ['Delete', 'Tombstone'],
    why: 'nothing is ever deleted from this log',
  },
  {
    service: 'event_store.client.persistent_subscriptions.PersistentSubscriptions',
    methods: ['Create', 'Update', 'Delete', 'Read', 'GetInfo', 'ReplayParked', 'List', 'RestartSubsystem'],
    why: 'persistent subscriptions are not served, subscribe and keep the position instead',
  },
  {
    service: 'event_store.client.projections.Projections',
    methods: [
      'Create',
      'Update',
      'Delete',
      'Statistics',
      'Disable',
      'Enable',
      'Reset',
      'State',
      'Result',
      'RestartSubsystem',
    ],
    why: 'projections are not served, the read models are SQL views',
  },
  {
    service: 'event_store.client.users.Users',
    methods: ['Create', 'Update', 'Delete', 'Disable', 'Enable', 'Details', 'ChangePassword', 'ResetPassword'],
    why: 'users are kept by "chronovisor grpc-user"',
  },
  {
    service: 'event_store.client.operations.Operations',
    methods: [
      'StartScavenge',
      'StopScavenge',
      'Shutdown',
      'MergeIndexes',
      'ResignNode',
      'SetNodePriority',
      'RestartPersistentSubscriptions',
    ],
    why: 'the daemon is operated by "chronovisor"',
  },
  {
    service: 'event_store.client.monitoring.Monitoring',
    methods: ['Stats'],
    why: 'figures are served as Prometheus metrics',
  },
]
