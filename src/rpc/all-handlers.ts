import { blockProcedures } from '../protocol/block-procedures.ts'
import { connectionProcedures } from '../protocol/connection-procedures.ts'
import { controlProcedures } from '../protocol/control-procedures.ts'
import {
  domainDefinitionProcedures,
  domainLifecycleProcedures,
  domainLookupProcedures,
  domainStateProcedures,
} from '../protocol/domain-procedures.ts'
import { eventProcedures } from '../protocol/event-procedures.ts'
import { resourceProcedures } from '../protocol/resource-procedures.ts'
import { snapshotProcedures } from '../protocol/snapshot-procedures.ts'
import { statisticsProcedures } from '../protocol/statistics-procedures.ts'
import { blockHandlers } from './block-handlers.ts'
import type { Call } from './call.ts'
import { connectionHandlers } from './connection-handlers.ts'
import { controlHandlers } from './control-handlers.ts'
import { definitionHandlers } from './definition-handlers.ts'
import { bindHandlers, Dispatcher } from './dispatcher.ts'
import { eventHandlers } from './event-handlers.ts'
import { lifecycleHandlers } from './lifecycle-handlers.ts'
import { lookupHandlers } from './lookup-handlers.ts'
import { resourceHandlers } from './resource-handlers.ts'
import { snapshotHandlers } from './snapshot-handlers.ts'
import { stateHandlers } from './state-handlers.ts'
import { statisticsHandlers } from './statistics-handlers.ts'

/** Every procedure that is served. Those with codecs but no handler answer NO_SUPPORT by name, like those without codecs. */
export function createDispatcher(): Dispatcher<Call> {
  return new Dispatcher<Call>([
    bindHandlers(connectionProcedures, connectionHandlers),
    bindHandlers(domainLookupProcedures, lookupHandlers),
    bindHandlers(domainDefinitionProcedures, definitionHandlers),
    bindHandlers(domainLifecycleProcedures, lifecycleHandlers),
    bindHandlers(domainStateProcedures, stateHandlers),
    bindHandlers(blockProcedures, blockHandlers),
    bindHandlers(snapshotProcedures, snapshotHandlers),
    bindHandlers(statisticsProcedures, statisticsHandlers),
    bindHandlers(eventProcedures, eventHandlers),
    bindHandlers(resourceProcedures, resourceHandlers),
    bindHandlers(controlProcedures, controlHandlers),
  ])
}
