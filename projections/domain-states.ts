import type { RecordedEvent } from '../src/readmodel/projection.ts'
import { projection } from '../src/readmodel/projection.ts'
import { remove, type RowChange, type RowsOf, table, upsert } from '../src/readmodel/table.ts'
import { type DomainFact, uuidOf } from './domain-fact.ts'

/** What a domain does. Reasons are those of the client interface, in words. */
export interface DomainStateRow {
  readonly domain_uuid: string
  readonly name: string
  readonly state: 'starting' | 'running' | 'paused' | 'shutoff' | 'crashed'
  readonly reason: string
  readonly domain_id: number
  readonly live_definition_sha256: string
  readonly caps_id: string
  readonly pid: number
  readonly start_ticks: bigint
  readonly boot_id: string
  readonly monitor_path: string
  readonly virt_type: string
  readonly command_line_sha256: string
  readonly executable_sha256: string
  readonly terminals: string
  readonly vnc_ports: string
  readonly persistent: boolean
  readonly changed_at_us: bigint
}

/** States by UUID; `by_id` finds a running domain by its number. */
export const domainStatesTable = table<DomainStateRow>()('domain_states', ['domain_uuid'], {
  by_id: (row) => (row.domain_id > 0 ? String(row.domain_id) : null),
})

interface StateTables {
  readonly states: RowsOf<typeof domainStatesTable>
}

const noProcess = {
  domain_id: -1,
  live_definition_sha256: '',
  caps_id: '',
  pid: 0,
  start_ticks: 0n,
  boot_id: '',
  monitor_path: '',
  virt_type: '',
  command_line_sha256: '',
  executable_sha256: '',
  terminals: '{}',
  vnc_ports: '[]',
} as const

/** Read model of what domains do. */
export const domainStates = projection<DomainFact>()({
  name: 'domain_states',
  version: 1,
  live: true,
  tables: { states: domainStatesTable },
  on: {
    DomainStartRequested: (event, _rows, recorded) => [
      upsert(domainStatesTable, {
        ...noProcess,
        domain_uuid: uuidOf(recorded.stream),
        name: event.data.name,
        state: 'starting',
        reason: 'starting',
        domain_id: event.data.domainId,
        live_definition_sha256: event.data.definitionSha256,
        caps_id: event.data.capsId,
        vnc_ports: JSON.stringify(event.data.vncPorts),
        persistent: true,
        changed_at_us: recorded.recordedAtUs,
      }),
    ],
    DomainStarted: (event, tables, recorded) =>
      change(recorded, tables, {
        state: event.data.paused ? 'paused' : 'running',
        reason: event.data.paused ? 'user' : 'booted',
        pid: event.data.process.pid,
        start_ticks: event.data.process.startTicks,
        boot_id: event.data.process.bootId,
        monitor_path: event.data.monitorPath,
        virt_type: event.data.virtType,
        command_line_sha256: event.data.commandLineSha256,
        executable_sha256: event.data.executableSha256,
        terminals: JSON.stringify(event.data.terminals),
        vnc_ports: JSON.stringify(event.data.vncPorts),
      }),
    DomainSuspended: (event, tables, recorded) =>
      change(recorded, tables, { state: 'paused', reason: event.data.cause === 'request' ? 'user' : 'hypervisor' }),
    DomainResumed: (_event, tables, recorded) => change(recorded, tables, { state: 'running', reason: 'unpaused' }),
    DomainStartFailed: (_event, tables, recorded) => ended(recorded, tables, { state: 'shutoff', reason: 'failed' }),
    DomainDestroyed: (_event, tables, recorded) => ended(recorded, tables, { state: 'shutoff', reason: 'destroyed' }),
    DomainShutOff: (event, tables, recorded) =>
      ended(recorded, tables, { state: 'shutoff', reason: event.data.reason }),
    DomainCrashed: (_event, tables, recorded) => ended(recorded, tables, { state: 'shutoff', reason: 'crashed' }),
    DomainUndefined: (_event, { states }, recorded) => {
      const row = states.get({ domain_uuid: uuidOf(recorded.stream) })
      if (row === undefined) return []
      return row.domain_id === -1
        ? [remove(domainStatesTable, row)]
        : [upsert(domainStatesTable, { ...row, persistent: false })]
    },
    DomainDefined: (event, { states }) => {
      const row = states.get({ domain_uuid: event.data.uuid })
      return row === undefined ? [] : [upsert(domainStatesTable, { ...row, name: event.data.name, persistent: true })]
    },
  },
})

function change(recorded: RecordedEvent, tables: StateTables, values: Partial<DomainStateRow>): RowChange[] {
  const row = tables.states.get({ domain_uuid: uuidOf(recorded.stream) })
  return row === undefined
    ? []
    : [upsert(domainStatesTable, { ...row, ...values, changed_at_us: recorded.recordedAtUs })]
}

function ended(
  recorded: RecordedEvent,
  tables: StateTables,
  values: Pick<DomainStateRow, 'state' | 'reason'>,
): RowChange[] {
  const row = tables.states.get({ domain_uuid: uuidOf(recorded.stream) })
  if (row !== undefined && !row.persistent) return [remove(domainStatesTable, row)]
  return change(recorded, tables, { ...noProcess, ...values })
}
