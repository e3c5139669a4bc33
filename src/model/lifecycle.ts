import type { AnyFact, FactOf } from '../events/catalogue.ts'

/** What a run of a domain is at. */
export type Run =
  | { readonly phase: 'off' }
  | { readonly phase: 'starting'; readonly requested: FactOf<'DomainStartRequested'>['data'] }
  | {
      readonly phase: 'running'
      readonly requested: FactOf<'DomainStartRequested'>['data']
      readonly started: FactOf<'DomainStarted'>['data']
      readonly paused: boolean
    }

/** The definition that the next start uses. */
export interface Definition {
  readonly name: string
  readonly submittedSha256: string
  readonly definitionSha256: string
  readonly capsId: string
}

/** An intent on a running domain whose outcome is not recorded yet. */
export type Intent =
  | 'DomainSuspendRequested'
  | 'DomainResumeRequested'
  | 'DomainResetRequested'
  | 'DomainShutdownRequested'
  | 'DomainDestroyRequested'

/** Definition, run and open intent of a domain. */
export interface Lifecycle {
  readonly definition: Definition | null
  readonly autostart: boolean
  readonly run: Run
  readonly intent: Intent | null
  readonly snapshotIntent: FactOf<'SnapshotRequested'>['data'] | null
  /** Changes of files' owners that were made for this run, the first one of each file: what its end takes back. */
  readonly granted: FactOf<'DomainStartRequested'>['data']['owners']
}

/** A domain that never was. */
export const noLifecycle: Lifecycle = {
  definition: null,
  autostart: false,
  run: { phase: 'off' },
  intent: null,
  snapshotIntent: null,
  granted: [],
}

/** The lifecycle after a fact. */
export function evolveLifecycle(state: Lifecycle, event: AnyFact): Lifecycle {
  switch (event.type) {
    case 'DomainDefined': {
      const { name, submittedSha256, definitionSha256, capsId } = event.data
      return { ...state, definition: { name, submittedSha256, definitionSha256, capsId } }
    }
    case 'DomainDefinitionFollowed':
      return state.definition === null
        ? state
        : { ...state, definition: { ...state.definition, definitionSha256: event.data.definitionSha256 } }
    case 'DomainUndefined':
      return { ...state, definition: null, autostart: false }
    case 'DomainAutostartChanged':
      return { ...state, autostart: event.data.autostart }
    case 'DomainStartRequested':
      return { ...starting(state, event.data), granted: firstOfEachFile(event.data.owners) }
    case 'BlockJobRequested':
      return { ...state, granted: firstOfEachFile([...state.granted, ...event.data.owners]) }
    case 'DomainStarted':
      return state.run.phase === 'starting'
        ? {
            ...state,
            run: { phase: 'running', requested: state.run.requested, started: event.data, paused: event.data.paused },
          }
        : state
    case 'DomainSuspended':
      return { ...withPaused(state, true), intent: settled(state, 'DomainSuspendRequested', event.data.cause) }
    case 'DomainResumed':
      return { ...withPaused(state, false), intent: settled(state, 'DomainResumeRequested', event.data.cause) }
    case 'DomainPowerButtonPressed':
      return { ...state, intent: settled(state, 'DomainShutdownRequested', 'request') }
    case 'DomainReset':
      return { ...state, intent: settled(state, 'DomainResetRequested', event.data.cause) }
    case 'DomainSuspendRequested':
    case 'DomainResumeRequested':
    case 'DomainResetRequested':
    case 'DomainShutdownRequested':
    case 'DomainDestroyRequested':
      return { ...state, intent: event.type }
    case 'DomainStartFailed':
    case 'DomainDestroyed':
    case 'DomainShutOff':
    case 'DomainCrashed':
      return { ...state, run: { phase: 'off' }, intent: null, snapshotIntent: null, granted: [] }
    case 'SnapshotRequested':
      return { ...state, snapshotIntent: event.data }
    case 'SnapshotCreated':
      return { ...state, snapshotIntent: null }
    case 'CommandFailed':
      return event.data.intent === 'SnapshotRequested'
        ? { ...state, snapshotIntent: null }
        : { ...state, intent: event.data.intent === state.intent ? null : state.intent }
    default:
      return state
  }
}

function starting(state: Lifecycle, requested: FactOf<'DomainStartRequested'>['data']): Lifecycle {
  return { ...state, run: { phase: 'starting', requested }, intent: null }
}

function firstOfEachFile(owners: Lifecycle['granted']): Lifecycle['granted'] {
  return owners.filter((change, at) => owners.findIndex((other) => other.path === change.path) === at)
}

function withPaused(state: Lifecycle, paused: boolean): Lifecycle {
  return state.run.phase === 'running' ? { ...state, run: { ...state.run, paused } } : state
}

/** An intent is settled by the outcome of the request, not by the same change made by the hypervisor on its own. */
function settled(state: Lifecycle, intent: Intent, cause: 'request' | 'hypervisor' | 'guest'): Intent | null {
  return cause === 'request' && state.intent === intent ? null : state.intent
}
