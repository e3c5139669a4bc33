import type { FeatureCapability, SevCapability } from './domain-capabilities.ts'
import type { EmulatorCapabilities } from './emulator-document.ts'
import type { CapabilityScope } from './guest-device-table.ts'
import {
  always,
  arches,
  armArches,
  every,
  flag,
  type GuestCondition,
  type GuestKind,
  machines,
  x86Arches,
} from './guest-kind.ts'

/** How many encrypted guests the host's processor has keys for; null where it has no such guests. */
export type SevHostFacts = Pick<SevCapability, 'maxGuests' | 'maxEncryptedStateGuests'>

/** What decides about the features of a guest. */
export interface FeatureSources {
  readonly document: EmulatorCapabilities
  readonly sevHost: SevHostFacts | null
  readonly scope: CapabilityScope
}

/** A feature: `appears` says for which guests the document speaks of it at all, `given` whether this daemon gives it. */
interface FeatureRow {
  readonly name: string
  readonly appears: GuestCondition
  readonly given: boolean
  describe(guest: GuestKind, sources: FeatureSources): FeatureCapability | null
}

function yesOrNo(name: string, when: GuestCondition, appears: GuestCondition = always): FeatureRow {
  return {
    name,
    appears,
    given: false,
    describe: (guest) => ({ kind: 'group', name, supported: when(guest), enums: [] }),
  }
}

function given(row: FeatureRow): FeatureRow {
  return { ...row, given: true }
}

/** A feature that is supported where it has values to choose from. */
function choices(name: string, of: { readonly enum: string; readonly values: ChoiceReader }): FeatureRow {
  return {
    name,
    appears: always,
    given: false,
    describe(guest, sources) {
      const values = of.values(guest, sources)
      const supported = values.length > 0
      return { kind: 'group', name, supported, enums: supported ? [{ name: of.enum, values }] : [] }
    },
  }
}

type ChoiceReader = (guest: GuestKind, sources: FeatureSources) => readonly string[]

const s390 = arches('s390x')
const protectedS390 = every(s390, flag('confidential-guest-support'), flag('s390-pv-guest'))
const armVirt = every(arches(...armArches), machines('virt'))

/** Kinds of guests that are kept from the host. */
const launchSecurityTypes: readonly { readonly type: string; readonly when: GuestCondition }[] = [
  { type: 'sev', when: flag('sev-guest') },
  { type: 'sev-snp', when: flag('sev-snp-guest') },
  { type: 's390-pv', when: protectedS390 },
]

/** Features in the order of the document. */
const featureRows: readonly FeatureRow[] = [
  choices('gic', { enum: 'version', values: gicVersions }),
  given(yesOrNo('vmcoreinfo', flag('vmcoreinfo'))),
  yesOrNo('genid', flag('vmgenid')),
  given(yesOrNo('backingStoreInput', always)),
  yesOrNo('backup', always),
  yesOrNo('async-teardown', flag('run-with.async-teardown')),
  yesOrNo('s390-pv', protectedS390, s390),
  given(yesOrNo('ps2', arches(...x86Arches))),
  { name: 'sev', appears: always, given: false, describe: sev },
  { name: 'sgx', appears: always, given: false, describe: sgx },
  { name: 'hyperv', appears: always, given: false, describe: hyperv },
  choices('launchSecurity', {
    enum: 'sectype',
    values: (guest) => launchSecurityTypes.filter(({ when }) => when(guest)).map(({ type }) => type),
  }),
]

/** The features of a guest. */
export function describeFeatures(guest: GuestKind, sources: FeatureSources): readonly FeatureCapability[] {
  return featureRows.flatMap((row) => {
    const feature = row.appears(guest) ? row.describe(guest, sources) : null
    if (feature === null) return []
    return row.given || sources.scope === 'emulator' ? [feature] : [unsupported(row.name)]
  })
}

function unsupported(name: string): FeatureCapability {
  return { kind: 'group', name, supported: false, enums: [] }
}

/** The kernel has the interrupt controller of guests that run on hardware, the emulator that of the others. */
function gicVersions(guest: GuestKind, { document }: FeatureSources): readonly string[] {
  if (!armVirt(guest)) return []
  const here = document.gic.filter(
    ({ kernel, emulated }) => (guest.virtType === 'kvm' && kernel) || (guest.virtType === 'qemu' && emulated),
  )
  return here.map(({ version }) => String(version))
}

function sev(_guest: GuestKind, { document, sevHost }: FeatureSources): FeatureCapability {
  if (document.sev === null || sevHost === null) return unsupported('sev')
  const { cBitPosition, reducedPhysicalBits, cpu0Id } = document.sev
  return { kind: 'sev', sev: { cBitPosition, reducedPhysicalBits, ...sevHost, cpu0Id } }
}

function sgx(_guest: GuestKind, { document }: FeatureSources): FeatureCapability {
  if (document.sgx === null) return unsupported('sgx')
  return { kind: 'sgx', sgx: document.sgx }
}

/** An emulator that could not be asked is not spoken of. */
function hyperv(_guest: GuestKind, { document }: FeatureSources): FeatureCapability | null {
  if (document.hyperv === null) return null
  return {
    kind: 'group',
    name: 'hyperv',
    supported: true,
    enums: [{ name: 'features', values: document.hyperv }],
  }
}
