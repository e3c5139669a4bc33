import * as v from 'valibot'
import { describeDomainCapabilities, type GuestHostFacts } from '../../src/conf/describe-domain-capabilities.ts'
import type { FirmwareDescriptor } from '../../src/conf/firmware-descriptor.ts'
import { formatGuestCapabilities } from '../../src/conf/format-domain-capabilities.ts'
import { parseEmulatorDocument } from '../../src/conf/parse-emulator-document.ts'
import { type Kind, sameText } from './assertion.ts'

const domainCase = v.object({
  expected: v.string(),
  qemuCaps: v.string(),
  virtType: v.picklist(['kvm', 'hvf', 'qemu']),
  machine: v.nullable(v.string()),
})

function descriptor(
  architecture: string,
  of: { readonly type: 'bios' | 'uefi'; readonly machines: readonly string[]; readonly features?: readonly string[] },
): FirmwareDescriptor {
  return {
    interfaceTypes: [of.type],
    targets: [{ architecture, machines: of.machines }],
    features: of.features ?? [],
  }
}

/** The firmware of the host on which the expected documents were written. */
const firmware: readonly FirmwareDescriptor[] = [
  descriptor('x86_64', { type: 'bios', machines: ['pc-i440fx-*', 'pc-q35-*'] }),
  descriptor('x86_64', { type: 'uefi', machines: ['pc-i440fx-*', 'pc-q35-*'] }),
  descriptor('x86_64', { type: 'uefi', machines: ['pc-q35-*'], features: ['secure-boot', 'requires-smm'] }),
  ...['aarch64', 'riscv64', 'loongarch64'].map((arch) =>
    descriptor(arch, { type: 'uefi', machines: ['virt', 'virt-*'] }),
  ),
]

/** Hosts whose processor tells no width of physical addresses. */
const withoutPhysicalBits = ['s390x', 'armv6l', 'armv7l', 'aarch64']

/** That host: its CPU is another for each architecture, and its firmware files have names only. */
function hostFacts(arch: string): GuestHostFacts {
  return {
    cpu: {
      model: arch === 'ppc64' ? 'POWER8' : null,
      physicalBits: withoutPhysicalBits.includes(arch) ? null : 64,
    },
    sev: { maxGuests: 59, maxEncryptedStateGuests: 450 },
    loaders: ['/obviously/fake/firmware1.fd', '/obviously/fake/firmware2.fd'],
    firmware,
  }
}

/** A capability document gives the domain capabilities of a guest. */
export const documentToDomain: Kind = (of, corpora) => {
  const { expected, qemuCaps, virtType, machine } = v.parse(domainCase, of.stated)
  const document = parseEmulatorDocument(corpora.readCapabilities(qemuCaps))
  const ours = describeDomainCapabilities(document, { virtType, machine }, hostFacts(document.arch))
  return [sameText(formatGuestCapabilities(ours), corpora.readText(of, expected))]
}
