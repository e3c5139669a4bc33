/**
 * A field: its number, its type and, where it has one, `repeated` or the type of the keys of a map. Types are those of the protobuf
 * language or names of messages, looked up from the inside out. Fields of a oneof stand like others: which one is there is all that counts.
 */
export type FieldRow = readonly [number: number, type: string, many?: 'repeated' | 'string']

/** Fields of a message by their names in camel case. */
export type MessageRow = Readonly<Record<string, FieldRow>>

const position: MessageRow = { commitPosition: [1, 'uint64'], preparePosition: [2, 'uint64'] }

const streamRevisionChoice: MessageRow = {
  streamIdentifier: [1, 'StreamIdentifier'],
  revision: [2, 'uint64'],
  noStream: [3, 'Empty'],
  any: [4, 'Empty'],
  streamExists: [5, 'Empty'],
}

const proposedMessage: MessageRow = {
  id: [1, 'UUID'],
  metadata: [2, 'string', 'string'],
  customMetadata: [3, 'bytes'],
  data: [4, 'bytes'],
}

/**
 * Every message that is read or written, by its full name; numbers and types are those of the EventStoreDB protocol
 * (streams.proto, shared.proto, serverfeatures.proto, gossip.proto, status.proto) and of the well-known types that it uses.
 */
export const messageTable = {
  'google.protobuf.Empty': {},
  'google.protobuf.Any': { type_url: [1, 'string'], value: [2, 'bytes'] },
  'google.protobuf.Timestamp': { seconds: [1, 'int64'], nanos: [2, 'int32'] },
  'google.protobuf.Duration': { seconds: [1, 'int64'], nanos: [2, 'int32'] },
  'google.rpc.Status': { code: [1, 'int32'], message: [2, 'string'], details: [3, 'google.protobuf.Any'] },

  'event_store.client.Empty': {},
  'event_store.client.UUID': { structured: [1, 'Structured'], string: [2, 'string'] },
  'event_store.client.UUID.Structured': { mostSignificantBits: [1, 'int64'], leastSignificantBits: [2, 'int64'] },
  'event_store.client.StreamIdentifier': { streamName: [3, 'bytes'] },
  'event_store.client.AllStreamPosition': position,
  'event_store.client.WrongExpectedVersion': {
    currentStreamRevision: [1, 'uint64'],
    currentNoStream: [2, 'google.protobuf.Empty'],
    expectedStreamPosition: [3, 'uint64'],
    expectedAny: [4, 'google.protobuf.Empty'],
    expectedStreamExists: [5, 'google.protobuf.Empty'],
    expectedNoStream: [6, 'google.protobuf.Empty'],
  },
  'event_store.client.AccessDenied': {},
  'event_store.client.Timeout': {},
  'event_store.client.Unknown': {},
  'event_store.client.MaximumAppendSizeExceeded': { maxAppendSize: [1, 'uint32'] },
  'event_store.client.BadRequest': { message: [1, 'string'] },

  'event_store.client.streams.ReadReq': { options: [1, 'Options'] },
  'event_store.client.streams.ReadReq.Options': {
    stream: [1, 'StreamOptions'],
    all: [2, 'AllOptions'],
    readDirection: [3, 'int32'],
    resolveLinks: [4, 'bool'],
    count: [5, 'uint64'],
    subscription: [6, 'SubscriptionOptions'],
    filter: [7, 'FilterOptions'],
    noFilter: [8, 'Empty'],
    uuidOption: [9, 'UUIDOption'],
    controlOption: [10, 'ControlOption'],
  },
  'event_store.client.streams.ReadReq.Options.StreamOptions': {
    streamIdentifier: [1, 'StreamIdentifier'],
    revision: [2, 'uint64'],
    start: [3, 'Empty'],
    end: [4, 'Empty'],
  },
  'event_store.client.streams.ReadReq.Options.AllOptions': {
    position: [1, 'Position'],
    start: [2, 'Empty'],
    end: [3, 'Empty'],
  },
  'event_store.client.streams.ReadReq.Options.SubscriptionOptions': {},
  'event_store.client.streams.ReadReq.Options.Position': position,
  'event_store.client.streams.ReadReq.Options.FilterOptions': {
    streamIdentifier: [1, 'Expression'],
    eventType: [2, 'Expression'],
    max: [3, 'uint32'],
    count: [4, 'Empty'],
    checkpointIntervalMultiplier: [5, 'uint32'],
  },
  'event_store.client.streams.ReadReq.Options.FilterOptions.Expression': {
    regex: [1, 'string'],
    prefix: [2, 'string', 'repeated'],
  },
  'event_store.client.streams.ReadReq.Options.UUIDOption': { structured: [1, 'Empty'], string: [2, 'Empty'] },
  'event_store.client.streams.ReadReq.Options.ControlOption': { compatibility: [1, 'uint32'] },

  'event_store.client.streams.ReadResp': {
    event: [1, 'ReadEvent'],
    confirmation: [2, 'SubscriptionConfirmation'],
    checkpoint: [3, 'Checkpoint'],
    streamNotFound: [4, 'StreamNotFound'],
    firstStreamPosition: [5, 'uint64'],
    lastStreamPosition: [6, 'uint64'],
    lastAllStreamPosition: [7, 'AllStreamPosition'],
    caughtUp: [8, 'CaughtUp'],
    fellBehind: [9, 'FellBehind'],
  },
  'event_store.client.streams.ReadResp.ReadEvent': {
    event: [1, 'RecordedEvent'],
    link: [2, 'RecordedEvent'],
    commitPosition: [3, 'uint64'],
    noPosition: [4, 'Empty'],
  },
  'event_store.client.streams.ReadResp.ReadEvent.RecordedEvent': {
    id: [1, 'UUID'],
    streamIdentifier: [2, 'StreamIdentifier'],
    streamRevision: [3, 'uint64'],
    preparePosition: [4, 'uint64'],
    commitPosition: [5, 'uint64'],
    metadata: [6, 'string', 'string'],
    customMetadata: [7, 'bytes'],
    data: [8, 'bytes'],
  },
  'event_store.client.streams.ReadResp.SubscriptionConfirmation': { subscriptionId: [1, 'string'] },
  'event_store.client.streams.ReadResp.Checkpoint': position,
  'event_store.client.streams.ReadResp.StreamNotFound': { streamIdentifier: [1, 'StreamIdentifier'] },
  'event_store.client.streams.ReadResp.CaughtUp': {},
  'event_store.client.streams.ReadResp.FellBehind': {},

  'event_store.client.streams.AppendReq': { options: [1, 'Options'], proposedMessage: [2, 'ProposedMessage'] },
  'event_store.client.streams.AppendReq.Options': streamRevisionChoice,
  'event_store.client.streams.AppendReq.ProposedMessage': proposedMessage,
  'event_store.client.streams.AppendResp': {
    success: [1, 'Success'],
    wrongExpectedVersion: [2, 'WrongExpectedVersion'],
  },
  'event_store.client.streams.AppendResp.Position': position,
  'event_store.client.streams.AppendResp.Success': {
    currentRevision: [1, 'uint64'],
    noStream: [2, 'Empty'],
    position: [3, 'Position'],
    noPosition: [4, 'Empty'],
  },
  // Numbers 1 to 5 are for clients of server version 20.6.0 only; 20.6.1 and later read the others.
  'event_store.client.streams.AppendResp.WrongExpectedVersion': {
    currentRevision: [6, 'uint64'],
    currentNoStream: [7, 'Empty'],
    expectedRevision: [8, 'uint64'],
    expectedAny: [9, 'Empty'],
    expectedStreamExists: [10, 'Empty'],
    expectedNoStream: [11, 'Empty'],
  },

  'event_store.client.streams.BatchAppendReq': {
    correlationId: [1, 'UUID'],
    options: [2, 'Options'],
    proposedMessages: [3, 'ProposedMessage', 'repeated'],
    isFinal: [4, 'bool'],
  },
  'event_store.client.streams.BatchAppendReq.Options': {
    streamIdentifier: [1, 'StreamIdentifier'],
    streamPosition: [2, 'uint64'],
    noStream: [3, 'google.protobuf.Empty'],
    any: [4, 'google.protobuf.Empty'],
    streamExists: [5, 'google.protobuf.Empty'],
    deadline21100: [6, 'google.protobuf.Timestamp'],
    deadline: [7, 'google.protobuf.Duration'],
  },
  'event_store.client.streams.BatchAppendReq.ProposedMessage': proposedMessage,
  'event_store.client.streams.BatchAppendResp': {
    correlationId: [1, 'UUID'],
    error: [2, 'google.rpc.Status'],
    success: [3, 'Success'],
    streamIdentifier: [4, 'StreamIdentifier'],
    streamPosition: [5, 'uint64'],
    noStream: [6, 'google.protobuf.Empty'],
    any: [7, 'google.protobuf.Empty'],
    streamExists: [8, 'google.protobuf.Empty'],
  },
  'event_store.client.streams.BatchAppendResp.Success': {
    currentRevision: [1, 'uint64'],
    noStream: [2, 'google.protobuf.Empty'],
    position: [3, 'AllStreamPosition'],
    noPosition: [4, 'google.protobuf.Empty'],
  },

  'event_store.client.server_features.SupportedMethods': {
    methods: [1, 'SupportedMethod', 'repeated'],
    eventStoreServerVersion: [2, 'string'],
  },
  'event_store.client.server_features.SupportedMethod': {
    methodName: [1, 'string'],
    serviceName: [2, 'string'],
    features: [3, 'string', 'repeated'],
  },

  'event_store.client.gossip.ClusterInfo': { members: [1, 'MemberInfo', 'repeated'] },
  'event_store.client.gossip.EndPoint': { address: [1, 'string'], port: [2, 'uint32'] },
  'event_store.client.gossip.MemberInfo': {
    instanceId: [1, 'UUID'],
    timeStamp: [2, 'int64'],
    state: [3, 'int32'],
    isAlive: [4, 'bool'],
    httpEndPoint: [5, 'EndPoint'],
  },
} as const satisfies Readonly<Record<string, MessageRow>>

/** Full name of a message of the table. */
export type MessageName = keyof typeof messageTable
