import { blockProcedures } from './block-procedures.ts'
import { connectionProcedures } from './connection-procedures.ts'
import { controlProcedures } from './control-procedures.ts'
import {
  domainDefinitionProcedures,
  domainLifecycleProcedures,
  domainLookupProcedures,
  domainStateProcedures,
} from './domain-procedures.ts'
import { eventProcedures } from './event-procedures.ts'
import type { Procedure, Procedures } from './procedure.ts'
import { isEventName, qemuProcedureName, remoteProcedureName } from './procedure-names.ts'
import { programs } from './programs.ts'
import { resourceProcedures } from './resource-procedures.ts'
import { snapshotProcedures } from './snapshot-procedures.ts'
import { statisticsProcedures } from './statistics-procedures.ts'

/** Every procedure that has codecs, by the name of its handler. */
export const remoteProcedures = {
  ...connectionProcedures,
  ...domainLookupProcedures,
  ...domainDefinitionProcedures,
  ...domainLifecycleProcedures,
  ...domainStateProcedures,
  ...blockProcedures,
  ...snapshotProcedures,
  ...statisticsProcedures,
  ...eventProcedures,
  ...resourceProcedures,
} as const

const table: Procedures = remoteProcedures
const byNumber = new Map(Object.values(table).map((row) => [row.number, row]))
const controlTable: Procedures = controlProcedures
const controlByNumber = new Map(Object.values(controlTable).map((row) => [row.number, row]))

/** The row of a remote procedure, undefined when it has no codecs here. */
export function remoteProcedure(number: number): Procedure<unknown, unknown> | undefined {
  return byNumber.get(number)
}

/** What a number means to a server of these programs. */
export type ProcedureLookup =
  | { readonly kind: 'served'; readonly procedure: Procedure<unknown, unknown> }
  | { readonly kind: 'known'; readonly name: string }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'no_program' }

/** Finds a called procedure. An event's number is unknown as a call. */
export function lookupProcedure(call: {
  readonly program: number
  readonly version: number
  readonly procedure: number
}): ProcedureLookup {
  if (call.version !== 1) return { kind: 'no_program' }
  if (call.program === programs.remote.number) {
    const procedure = byNumber.get(call.procedure)
    if (procedure !== undefined) return { kind: 'served', procedure }
    return known(remoteProcedureName(call.procedure))
  }
  if (call.program === programs.control.number) {
    const procedure = controlByNumber.get(call.procedure)
    return procedure === undefined ? { kind: 'unknown' } : { kind: 'served', procedure }
  }
  if (call.program === programs.qemu.number) return known(qemuProcedureName(call.procedure))
  return { kind: 'no_program' }
}

function known(name: string | undefined): ProcedureLookup {
  return name === undefined || isEventName(name) ? { kind: 'unknown' } : { kind: 'known', name }
}
