import type { BlockJobRow } from '../../projections/block-jobs.ts'
import type { DomainDefinitionRow } from '../../projections/domain-definitions.ts'
import type { DomainStateRow } from '../../projections/domain-states.ts'
import type { SnapshotRow } from '../../projections/snapshots.ts'
import type { Caller } from '../../src/commands/caller.ts'
import type { Commands, DomainName } from '../../src/commands/commands.ts'
import type { DomainView, Reads } from '../../src/commands/reads.ts'
import type { DomainDef } from '../../src/conf/domain-def.ts'
import { parseDomain } from '../../src/conf/parse-domain.ts'
import type { DiskSample, DomainSample } from '../../src/driver/driver.ts'
import type { ThreadMonitor } from '../../src/driver/host-facts.ts'
import { noChains } from '../../src/model/chain.ts'
import type { RpcBackend } from '../../src/rpc/backend.ts'
import { Fault } from '../../src/util/fault.ts'

interface MemoryDomain {
  readonly uuid: string
  readonly name: string
  readonly xml: string
  readonly def: DomainDef
  state: 'running' | 'paused' | 'shutoff'
  reason: string
  id: number
  autostart: boolean
}

/** A backend without log and hypervisor: what the handlers need, in memory, with every caller noted. */
export class MemoryBackend {
  readonly domains = new Map<string, MemoryDomain>()
  readonly snapshots = new Map<string, SnapshotRow[]>()
  readonly jobs: BlockJobRow[] = []
  readonly callers: Caller[] = []
  /** Refusals that the front end had noted, and what it must wait for before it answers. */
  readonly refusals: { readonly caller: Caller; readonly fault: Fault }[] = []
  refusing: Promise<void> | undefined = undefined
  /** What pulls were asked for. */
  readonly pulls: unknown[] = []
  /** Counters of every running domain's disks. */
  readonly diskSamples: DiskSample[] = []
  /** What the host measures of every running domain. */
  readonly monitors: ThreadMonitor[] = []
  /** Commands wait for this before they act. */
  gate: Promise<void> = Promise.resolve()
  /** Put behind every definition that is printed. */
  xmlSuffix = ''
  #nextId = 1

  /** Puts a domain in place, without a command. */
  add(name: string, values: Partial<Pick<MemoryDomain, 'state' | 'reason' | 'id'>> = {}): MemoryDomain {
    const serial = String(this.domains.size + 1).padStart(12, '0')
    const uuid = `11111111-2222-3333-4444-${serial}`
    return this.#put(
      `<domain type='qemu'><name>${name}</name><uuid>${uuid}</uuid><memory>65536</memory><os><type>hvm</type></os></domain>`,
      values,
    )
  }

  /** The backend as the server takes it. */
  backend(): RpcBackend {
    return {
      driver: 'qemu',
      reads: this.#reads(),
      commands: this.#commands(),
      texts: {
        domainXml: (domain) => this.#get(domain.uuid).xml + this.xmlSuffix,
        snapshotXml: (_domain, name) => `<domainsnapshot><name>${name}</name></domainsnapshot>`,
        hostCapabilitiesXml: async () => '<capabilities/>',
        domainCapabilitiesXml: async () => '<domainCapabilities/>',
        metadata: () => {
          throw new Fault('no_domain_metadata', 'Requested metadata element is not present')
        },
      },
      host: {
        hostname: () => 'host.example',
        nodeInfo: () => ({
          model: 'x86_64',
          memoryKib: 1024n,
          cpus: 2,
          mhz: 2000,
          nodes: 1,
          sockets: 1,
          cores: 2,
          threads: 1,
        }),
        freeMemoryBytes: () => 4096n,
        onlineCpus: () => [true, true],
        hypervisorVersion: () => 7_002_022,
        maxVcpus: () => 255,
        cpuModelNames: () => ['qemu64', 'max'],
      },
      domains: {
        definition: (domain) => this.#get(domain.uuid).def,
        sample: (uuid) => (this.#get(uuid).id < 0 ? null : { ...sample, disks: this.diskSamples }),
        blockInfo: () => ({ capacityBytes: 3n, allocationBytes: 2n, physicalBytes: 1n }),
        monitors: () => this.monitors,
        jobProgress: () => ({ currentBytes: 10n, totalBytes: 10n, bytesPerSecond: 0n }),
      },
    }
  }

  #put(xml: string, values: Partial<Pick<MemoryDomain, 'state' | 'reason' | 'id'>> = {}): MemoryDomain {
    const def = parseDomain(xml)
    const uuid = def.uuid ?? '99999999-0000-0000-0000-000000000000'
    const old = this.domains.get(uuid)
    const domain: MemoryDomain = {
      uuid,
      name: def.name,
      xml,
      def,
      state: 'shutoff',
      reason: '',
      id: -1,
      autostart: false,
      ...old,
      ...values,
    }
    this.domains.set(uuid, { ...domain, xml, def, name: def.name })
    return domain
  }

  #get(uuid: string): MemoryDomain {
    const found = this.domains.get(uuid)
    if (found === undefined) throw new Fault('no_domain', `no domain with matching uuid '${uuid}'`)
    return found
  }

  #reads(): Reads {
    const views = (): readonly DomainView[] => [...this.domains.values()].map(viewOf)
    return {
      domains: views,
      byUuid: (uuid) => views().find((view) => view.uuid === uuid) ?? null,
      byName: (name) => views().find((view) => view.name === name) ?? null,
      byId: (id) => views().find((view) => view.id === id && view.active) ?? null,
      chains: () => noChains,
      jobs: (uuid) => this.jobs.filter((job) => job.domain_uuid === uuid),
      snapshots: (uuid) => this.snapshots.get(uuid) ?? [],
      snapshotDisks: () => [],
    }
  }

  #commands(): Commands {
    const act = async (caller: Caller, uuid: string, change: (domain: MemoryDomain) => void): Promise<DomainName> => {
      this.callers.push(caller)
      await this.gate
      const domain = this.#get(uuid)
      change(domain)
      return domain
    }
    const become = (caller: Caller, uuid: string, state: MemoryDomain['state']) =>
      act(caller, uuid, (domain) => {
        if (domain.id < 0) throw new Fault('operation_invalid', 'domain is not running')
        domain.state = state
        if (state === 'shutoff') domain.id = -1
      })
    const silent = async (done: Promise<unknown>): Promise<void> => void (await done)
    return {
      noteRefusal: (caller, fault) => {
        this.refusals.push({ caller, fault })
        return this.refusing
      },
      defineDomain: async (caller, { xml }) => {
        this.callers.push(caller)
        return this.#put(xml)
      },
      undefineDomain: (caller, { uuid }) => silent(act(caller, uuid, () => void this.domains.delete(uuid))),
      setAutostart: (caller, { uuid, autostart }) =>
        silent(act(caller, uuid, (domain) => void (domain.autostart = autostart))),
      startDomain: (caller, { uuid, paused }) =>
        act(caller, uuid, (domain) => {
          domain.state = paused ? 'paused' : 'running'
          domain.reason = paused ? 'user' : 'booted'
          domain.id = this.#nextId++
        }),
      suspendDomain: (caller, uuid) => silent(become(caller, uuid, 'paused')),
      resumeDomain: (caller, uuid) => silent(become(caller, uuid, 'running')),
      shutdownDomain: (caller, uuid) => silent(become(caller, uuid, 'shutoff')),
      resetDomain: (caller, uuid) => silent(become(caller, uuid, 'running')),
      destroyDomain: (caller, { uuid }) => silent(become(caller, uuid, 'shutoff')),
      createSnapshot: async () => 's1',
      deleteSnapshot: async () => {},
      pullBlocks: async (caller, request) => {
        this.callers.push(caller)
        this.pulls.push(request)
        return 'job'
      },
      commitBlocks: async () => 'job',
      endBlockJob: async () => {
        throw new Fault('block_job_missing', 'disk vda does not have an active block job')
      },
      setBlockJobSpeed: async () => {},
      adoptChain: async (caller, { uuid, disk }) => {
        this.callers.push(caller)
        return [`/images/${this.#get(uuid).name}-${disk}.qcow2`]
      },
      knownEmulators: async () => [{ binary: '/usr/bin/q', state: 'valid' }],
      probeEmulator: async (caller, { binary }) => {
        this.callers.push(caller)
        return { capsId: `caps of ${binary}`, isNew: true }
      },
      forgetCapabilities: async (caller, { binary }) => {
        this.callers.push(caller)
        return binary === null ? 3 : 1
      },
      checkDomains: async () =>
        [...this.domains.values()].map(({ uuid, name }) => ({
          uuid,
          name,
          error: null,
          disks: [{ disk: 'vda', recorded: ['/a', '/b'], found: ['/a'] }],
          jobs: ['job'],
        })),
    }
  }
}

const sample: DomainSample = {
  atMs: 0,
  paused: false,
  cpuTimeNs: 5_000_000_000n,
  userTimeNs: 3_000_000_000n,
  systemTimeNs: 2_000_000_000n,
  balloonBytes: 32n * 1024n * 1024n,
  residentBytes: 48n * 1024n * 1024n,
  disks: [],
}

function viewOf({ uuid, name, id, autostart, state, reason }: MemoryDomain): DomainView {
  const definition: DomainDefinitionRow = {
    domain_uuid: uuid,
    name,
    definition_sha256: '',
    submitted_sha256: '',
    caps_id: '',
    emulator: '',
    autostart,
    defined_by: '',
    defined_uid: 0,
    reason: null,
  }
  const run: DomainStateRow = {
    domain_uuid: uuid,
    name,
    state,
    reason,
    domain_id: id,
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
    persistent: true,
    changed_at_us: 0n,
  }
  return { uuid, name, id, definition, run, active: id >= 0 }
}
