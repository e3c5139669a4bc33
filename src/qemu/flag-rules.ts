/** The one fact that a capability flag states. */
export type FlagFact =
  | { readonly kind: 'qomType'; readonly type: string }
  | { readonly kind: 'property'; readonly type: string; readonly property: string }
  | { readonly kind: 'schemaCommand'; readonly command: string }
  | { readonly kind: 'schemaEvent'; readonly event: string }
  | { readonly kind: 'schemaArgument'; readonly command: string; readonly argument: string }
  | { readonly kind: 'option'; readonly option: string; readonly parameter: string | null }
  | { readonly kind: 'version'; readonly atLeast: number }

/** A capability flag: what it is called and what makes it set. */
export interface FlagRule {
  readonly flag: string
  readonly fact: FlagFact
}

function flag(name: string, fact: FlagFact): FlagRule {
  return { flag: name, fact }
}
function qomType(type: string): FlagFact {
  return { kind: 'qomType', type }
}
function property(type: string, name: string): FlagFact {
  return { kind: 'property', type, property: name }
}
function schemaCommand(command: string): FlagFact {
  return { kind: 'schemaCommand', command }
}
function schemaEvent(event: string): FlagFact {
  return { kind: 'schemaEvent', event }
}
function schemaArgument(command: string, argument: string): FlagFact {
  return { kind: 'schemaArgument', command, argument }
}
function option(name: string, parameter: string | null = null): FlagFact {
  return { kind: 'option', option: name, parameter }
}
function version(atLeast: number): FlagFact {
  return { kind: 'version', atLeast }
}

/** Capability flags in a fixed order, one fact each. Names are libvirt's where libvirt has the flag, else QEMU's name for the thing. */
export const flagRules = [
  // accelerators
  flag('tcg', qomType('tcg-accel')),
  flag('kvm-accel', qomType('kvm-accel')),
  // block layer
  flag('blockdev', schemaCommand('blockdev-add')),
  flag('blockdev-del', schemaCommand('blockdev-del')),
  flag('blockdev-reopen', schemaCommand('blockdev-reopen')),
  flag('blockdev-snapshot', schemaCommand('blockdev-snapshot')),
  flag('blockdev-mirror', schemaCommand('blockdev-mirror')),
  flag('blockdev-backup', schemaCommand('blockdev-backup')),
  flag('blockdev-create', schemaCommand('blockdev-create')),
  flag('transaction', schemaCommand('transaction')),
  flag('block-stream', schemaCommand('block-stream')),
  flag('block-stream.base-node', schemaArgument('block-stream', 'base-node')),
  flag('block-stream.auto-dismiss', schemaArgument('block-stream', 'auto-dismiss')),
  flag('block-commit', schemaCommand('block-commit')),
  flag('block-commit.top-node', schemaArgument('block-commit', 'top-node')),
  flag('block-commit.auto-dismiss', schemaArgument('block-commit', 'auto-dismiss')),
  flag('job-complete', schemaCommand('job-complete')),
  flag('job-finalize', schemaCommand('job-finalize')),
  flag('job-dismiss', schemaCommand('job-dismiss')),
  flag('job-status-change', schemaEvent('JOB_STATUS_CHANGE')),
  flag('block-graph', schemaCommand('x-debug-query-block-graph')),
  flag('query-named-block-nodes.flat', schemaArgument('query-named-block-nodes', 'flat')),
  // lifecycle
  flag('set-action', schemaCommand('set-action')),
  flag('memory-failure-event', schemaEvent('MEMORY_FAILURE')),
  flag('guest-panicked-event', schemaEvent('GUEST_PANICKED')),
  flag('query-vnc-servers', schemaCommand('query-vnc-servers')),
  flag('query-display-options', schemaCommand('query-display-options')),
  flag('seccomp-sandbox', option('sandbox', 'enable')),
  flag('smp-dies', option('smp-opts', 'dies')),
  flag('smp-clusters', option('smp-opts', 'clusters')),
  flag('vnc', option('vnc')),
  flag('spice', option('spice')),
  flag('fw_cfg', option('fw_cfg')),
  flag('device.json', version(6_002_000)),
  // disks and their controllers
  flag('virtio-blk-pci', qomType('virtio-blk-pci')),
  flag('virtio-blk.num-queues', property('virtio-blk-pci', 'num-queues')),
  flag('virtio-blk.queue-size', property('virtio-blk-pci', 'queue-size')),
  flag('disk-write-cache', property('virtio-blk-pci', 'write-cache')),
  flag('virtio-blk-pci-transitional', qomType('virtio-blk-pci-transitional')),
  flag('virtio-blk-pci-non-transitional', qomType('virtio-blk-pci-non-transitional')),
  flag('ide-hd', qomType('ide-hd')),
  flag('ide-cd', qomType('ide-cd')),
  flag('scsi-hd', qomType('scsi-hd')),
  flag('scsi-cd', qomType('scsi-cd')),
  flag('scsi-disk.device_id', property('scsi-hd', 'device_id')),
  flag('usb-storage', qomType('usb-storage')),
  flag('usb-storage.removable', property('usb-storage', 'removable')),
  flag('isa-fdc', qomType('isa-fdc')),
  flag('floppy', qomType('floppy')),
  flag('ich9-ahci', qomType('ich9-ahci')),
  flag('piix3-ide', qomType('piix3-ide')),
  flag('lsi', qomType('lsi53c895a')),
  flag('virtio-scsi-pci', qomType('virtio-scsi-pci')),
  flag('megasas', qomType('megasas')),
  flag('mptsas1068', qomType('mptsas1068')),
  flag('am53c974', qomType('am53c974')),
  // network cards
  flag('virtio-net-pci', qomType('virtio-net-pci')),
  flag('virtio-net-pci-transitional', qomType('virtio-net-pci-transitional')),
  flag('virtio-net-pci-non-transitional', qomType('virtio-net-pci-non-transitional')),
  flag('e1000', qomType('e1000')),
  flag('e1000e', qomType('e1000e')),
  flag('rtl8139', qomType('rtl8139')),
  flag('ne2k_pci', qomType('ne2k_pci')),
  flag('pcnet', qomType('pcnet')),
  flag('i82551', qomType('i82551')),
  flag('i82557b', qomType('i82557b')),
  flag('i82559er', qomType('i82559er')),
  flag('vmxnet3', qomType('vmxnet3')),
  // character devices
  flag('isa-serial', qomType('isa-serial')),
  flag('pci-serial', qomType('pci-serial')),
  flag('usb-serial', qomType('usb-serial')),
  flag('isa-debugcon', qomType('isa-debugcon')),
  flag('isa-parallel', qomType('isa-parallel')),
  flag('virtio-serial-pci', qomType('virtio-serial-pci')),
  flag('virtserialport', qomType('virtserialport')),
  flag('virtconsole', qomType('virtconsole')),
  // screens and inputs
  flag('VGA', qomType('VGA')),
  flag('cirrus-vga', qomType('cirrus-vga')),
  flag('vmware-svga', qomType('vmware-svga')),
  flag('qxl', qomType('qxl')),
  flag('qxl-vga', qomType('qxl-vga')),
  flag('bochs-display', qomType('bochs-display')),
  flag('ramfb', qomType('ramfb')),
  flag('virtio-gpu', qomType('virtio-gpu-device')),
  flag('virtio-vga', qomType('virtio-vga')),
  flag('virtio-gpu-pci', qomType('virtio-gpu-pci')),
  flag('VGA.vgamem_mb', property('VGA', 'vgamem_mb')),
  flag('qxl.vgamem_mb', property('qxl', 'vgamem_mb')),
  flag('usb-tablet', qomType('usb-tablet')),
  flag('usb-mouse', qomType('usb-mouse')),
  flag('usb-kbd', qomType('usb-kbd')),
  flag('virtio-tablet', qomType('virtio-tablet-pci')),
  flag('virtio-keyboard', qomType('virtio-keyboard-pci')),
  flag('virtio-mouse', qomType('virtio-mouse-pci')),
  // buses
  flag('pcie-root-port', qomType('pcie-root-port')),
  flag('pci-bridge', qomType('pci-bridge')),
  flag('pcie-pci-bridge', qomType('pcie-pci-bridge')),
  flag('qemu-xhci', qomType('qemu-xhci')),
  flag('nec-usb-xhci', qomType('nec-usb-xhci')),
  flag('piix3-usb-uhci', qomType('piix3-usb-uhci')),
  flag('piix4-usb-uhci', qomType('piix4-usb-uhci')),
  flag('usb-ehci', qomType('usb-ehci')),
  flag('ich9-usb-ehci1', qomType('ich9-usb-ehci1')),
  flag('pci-ohci', qomType('pci-ohci')),
  // the rest of the machine
  flag('virtio-balloon-pci', qomType('virtio-balloon-pci')),
  flag('virtio-balloon-pci.deflate-on-oom', property('virtio-balloon-pci', 'deflate-on-oom')),
  flag('virtio-balloon.free-page-reporting', property('virtio-balloon-pci', 'free-page-reporting')),
  flag('virtio-rng', qomType('virtio-rng-pci')),
  flag('rng-random', qomType('rng-random')),
  flag('rng-builtin', qomType('rng-builtin')),
  flag('rng-egd', qomType('rng-egd')),
  flag('i6300esb', qomType('i6300esb')),
  flag('ib700', qomType('ib700')),
  flag('pvpanic', qomType('pvpanic')),
  flag('pvpanic-pci', qomType('pvpanic-pci')),
  flag('hda-duplex', qomType('hda-duplex')),
  flag('hda-micro', qomType('hda-micro')),
  flag('hda-output', qomType('hda-output')),
  flag('ich9-intel-hda', qomType('ich9-intel-hda')),
  flag('intel-hda', qomType('intel-hda')),
  flag('AC97', qomType('AC97')),
  flag('ES1370', qomType('ES1370')),
  flag('sb16', qomType('sb16')),
  flag('usb-audio', qomType('usb-audio')),
  flag('pc-dimm', qomType('pc-dimm')),
  flag('vmgenid', qomType('vmgenid')),
  flag('memory-backend-memfd', qomType('memory-backend-memfd')),
  flag('memory-backend-file', qomType('memory-backend-file')),
  flag('kvm-pit-lost-tick-policy', property('kvm-pit', 'lost_tick_policy')),
  flag('isa-fdc.fdtypeA', property('isa-fdc', 'fdtypeA')),
  flag('ICH9-LPC.disable_s3', property('ICH9-LPC', 'disable_s3')),
  flag('ICH9-LPC.disable_s4', property('ICH9-LPC', 'disable_s4')),
  flag('piix4-pm.disable_s3', property('PIIX4_PM', 'disable_s3')),
] as const satisfies readonly FlagRule[]
