import type { FactOf } from '../events/catalogue.ts'

/** Identity of an emulator and its host, as a probe recorded it. */
export type Identity = FactOf<'EmulatorProbed'>['data']['identity']
/** What the host looked like at a start of the daemon. */
export type HostView = FactOf<'HostFactsObserved'>['data']
/** An invalidation as recorded. */
export type Invalidation = FactOf<'EmulatorInvalidated'>['data']

/** Whether something had changed when a version was thrown away, and how one knows. */
export interface Verdict {
  readonly justified: boolean
  readonly why: string
}

/** What one reason of the closed list compares. */
interface ReasonRow {
  /** The compared value as a probe records it; null where the record of a probe does not hold it. */
  value(identity: Identity): string | null
  /** The same as observed at a start of the daemon, where it cannot have changed since; null where that was not observed. */
  host?(view: HostView): string | null
  /** A text that the recorded `was` must contain, since it is what was recorded; null where its form is free. */
  recorded?(identity: Identity): string | null
}

const modules: ReasonRow = {
  value: (identity) => String(identity.moduleDirectoryMtimeNs),
  recorded: (identity) => (identity.moduleDirectoryMtimeNs === null ? null : String(identity.moduleDirectoryMtimeNs)),
}
const kvm: ReasonRow = { value: (identity) => String(identity.kvmUsable) }
const unknown: ReasonRow = { value: () => null }
const notRecorded = 'not recorded'

const rows: Readonly<Record<Invalidation['reason'], ReasonRow>> = {
  module_directory_unreadable: { ...modules, value: () => null },
  module_directory_changed: modules,
  daemon_changed: {
    value: (identity) => identity.daemonBuild ?? notRecorded,
    host: (view) => view.daemonBuild,
    recorded: (identity) => identity.daemonBuild,
  },
  emulator_missing: { value: () => null, recorded: (identity) => identity.sha256 },
  emulator_changed: { value: (identity) => identity.sha256, recorded: (identity) => identity.sha256 },
  kvm_appeared: kvm,
  kvm_gone: kvm,
  host_cpu_changed: {
    value: (identity) => cpuText(identity.hostCpu),
    host: (view) => cpuText(view.hostCpu),
    recorded: (identity) => identity.hostCpu,
  },
  microcode_changed: {
    value: (identity) => identity.microcode ?? 'none',
    recorded: (identity) => identity.microcode ?? 'none',
  },
  kernel_changed: {
    value: (identity) => identity.kernel,
    host: (view) => view.kernel,
    recorded: (identity) => identity.kernel,
  },
  cpuid_changed: { value: (identity) => identity.cpuid, recorded: (identity) => identity.cpuid },
  nested_kvm_changed: { value: (identity) => String(identity.nestedKvm) },
  secure_guest_changed: { value: (identity) => identity.secureGuest, recorded: (identity) => identity.secureGuest },
  cache_unreadable: unknown,
  firmware_descriptors_changed: { value: (identity) => identity.firmware, recorded: (identity) => identity.firmware },
  probe_environment_changed: { value: ({ uid, gid }) => `uid ${uid}, gid ${gid}` },
  operator_request: unknown,
}

/** Judges an invalidation by its own two values, by what the probe had recorded, and by what the host's start had shown. */
export function judgeInvalidation(
  { reason, was, is }: Invalidation,
  known: { readonly identity: Identity; readonly host: HostView | null },
): Verdict {
  if (reason === 'operator_request') return { justified: true, why: 'an operator asked for it' }
  if (was === is) return { justified: false, why: `nothing differed: was and is are both "${was}"` }
  const row = rows[reason]
  const recorded = row.recorded?.(known.identity) ?? null
  if (recorded !== null && !was.includes(recorded)) {
    return { justified: false, why: `it was compared with "${was}", recorded was "${recorded}"` }
  }
  const before = row.value(known.identity)
  const observed = known.host === null ? null : (row.host?.(known.host) ?? null)
  if (observed !== null && before === observed) {
    return { justified: false, why: `nothing differed: since its start the daemon saw "${before ?? ''}", as recorded` }
  }
  return { justified: true, why: `"${was}" became "${is}"` }
}

/** The verdict once the same task has probed the emulator again: the value that it compared must have come out different. */
export function judgeByNextProbe(
  invalidation: Invalidation,
  { before, after }: { readonly before: Identity; readonly after: Identity },
): Verdict | null {
  const row = rows[invalidation.reason]
  const [was, is] = [row.value(before), row.value(after)]
  if (was === null || was !== is) return null
  return { justified: false, why: `nothing differed: the probe that followed found "${was}" again` }
}

/** A difference between what a version was recorded with and what was observed later. */
export interface Difference {
  readonly reason: Invalidation['reason']
  readonly was: string
  readonly is: string
}

/** The first thing by which a host, as observed at a start of the daemon, differs from the one that a version was recorded on. */
export function hostDifference(
  identity: Identity,
  { host, native }: { readonly host: HostView; readonly native: boolean },
): Difference | null {
  const wasBuild = host.daemonBuild === null ? null : (identity.daemonBuild ?? notRecorded)
  const kvm = host.kvmUsable ? 'kvm_appeared' : 'kvm_gone'
  const found = [
    differing('daemon_changed', wasBuild, host.daemonBuild),
    native ? differing(kvm, `usable: ${identity.kvmUsable}`, `usable: ${host.kvmUsable}`) : null,
    // Without an accelerator the guest's CPU is the emulator's own, and the host does not matter.
    ...(identity.kvmUsable ? acceleratedDifferences(identity, host) : []),
    differing('firmware_descriptors_changed', identity.firmware, host.firmware),
  ]
  return found.find((one) => one !== null) ?? null
}

function acceleratedDifferences(identity: Identity, host: HostView): readonly (Difference | null)[] {
  return [
    differing('host_cpu_changed', cpuText(identity.hostCpu), cpuText(host.hostCpu)),
    differing('microcode_changed', identity.microcode ?? 'none', host.microcode ?? 'none'),
    differing('kernel_changed', identity.kernel, host.kernel),
    differing('cpuid_changed', identity.cpuid, host.cpuid),
    differing('nested_kvm_changed', String(identity.nestedKvm), String(host.nestedKvm)),
    differing('secure_guest_changed', identity.secureGuest, host.secureGuest),
  ]
}

/** What was not recorded on either side cannot be told to differ. */
function differing(reason: Difference['reason'], was: string | null, is: string | null): Difference | null {
  return was === null || is === null || was === is ? null : { reason, was, is }
}

/** The two records of a CPU are written by different hands, so only the words count, not what stands between them. */
function cpuText(cpu: string): string {
  return cpu
    .split(/[\s/]+/)
    .filter((word) => word !== '')
    .join(' ')
}
