import type { FeatureCapability, SevCapability } from './domain-capabilities.ts'
import type { EmulatorDocument } from './emulator-document.ts'
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
  readonly document: EmulatorDocument
  readonly sevHost: SevHostFacts | null
}

/** A feature: `appears` says for which guests the document speaks of it at all. */
interface FeatureRow {
  readonly appears: GuestCondition
  describe(guest: GuestKind, sources: FeatureSources): FeatureCapability | null
}

function yesOrNo(name: string, when: GuestCondition, appears: GuestCondition = always): FeatureRow {
  return {
    appears,
    describe: (guest) => ({ kind: 'group', name, supported: when(guest), enums: [] }),
  }
}

/** A feature that is supported where it has values to choose from. */
function choices(name: string, of: { readonly enum: string; readonly values: ChoiceReader }): FeatureRow {
  return {
    appears: always,
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
  yesOrNo('vmcoreinfo', flag('vmcoreinfo')),
  yesOrNo('genid', flag('vmgenid')),
  yesOrNo('backingStoreInput', always),
  yesOrNo('backup', always),
  yesOrNo('async-teardown', flag('run-with.async-teardown')),
  yesOrNo('s390-pv', protectedS390, s390),
  yesOrNo('ps2', arches(...x86Arches)),
  { appears: always, describe: sev },
  { appears: always, describe: sgx },
  { appears: always, describe: hyperv },
  choices('launchSecurity', {
    enum: 'sectype',
    values: (guest) => launchSecurityTypes.filter(({ when }) => when(guest)).map(({ type }) => type),
  }),
]

/** The features of a guest. */
export function describeFeatures(guest: GuestKind, sources: FeatureSources): readonly FeatureCapability[] {
  return featureRows.flatMap((row) => {
    const feature = row.appears(guest) ? row.describe(guest, sources) : null
    return feature === null ? [] : [feature]
  })
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
  if (document.sev === null || sevHost === null) return { kind: 'group', name: 'sev', supported: false, enums: [] }
  const { cBitPosition, reducedPhysicalBits, cpu0Id } = document.sev
  return { kind: 'sev', sev: { cBitPosition, reducedPhysicalBits, ...sevHost, cpu0Id } }
}

function sgx(_guest: GuestKind, { document }: FeatureSources): FeatureCapability {
  if (document.sgx === null) return { kind: 'group', name: 'sgx', supported: false, enums: [] }
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
