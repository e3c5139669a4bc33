import { element } from '../xml/codec.ts'
import { attribute, child, children, optional, text, textChild, verbatim } from '../xml/parts.ts'
import { anyText, oneOf, someText, unsignedInt, yesNo } from '../xml/value-codec.ts'

const osType = element('type', {
  arch: optional(attribute('arch', someText)),
  machine: optional(attribute('machine', someText)),
  value: text(oneOf('hvm', 'xen', 'linux', 'exe', 'xenpvh', 'uml')),
})

/** `<os>`: architecture, machine type and what the guest boots from. */
export const os = element('os', {
  firmware: optional(attribute('firmware', oneOf('bios', 'efi'))),
  type: child(osType),
  firmwareFeatures: verbatim('firmware'),
  loader: verbatim('loader'),
  nvram: verbatim('nvram'),
  kernel: optional(textChild('kernel', anyText)),
  initrd: optional(textChild('initrd', anyText)),
  cmdline: optional(textChild('cmdline', anyText)),
  dtb: optional(textChild('dtb', anyText)),
  acpi: verbatim('acpi'),
  boot: children(element('boot', { dev: attribute('dev', oneOf('fd', 'hd', 'cdrom', 'network')) })),
  bootMenu: optional(
    child(
      element('bootmenu', {
        enable: attribute('enable', yesNo),
        timeoutMs: optional(attribute('timeout', unsignedInt)),
      }),
    ),
  ),
  bios: verbatim('bios'),
  smbios: verbatim('smbios'),
})
