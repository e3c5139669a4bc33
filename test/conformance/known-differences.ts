/** A difference that is right. All patterns given must match; an absent value is the empty text. */
export interface KnownDifference {
  /** Steps that it is about; all if not given. */
  readonly step?: RegExp
  readonly field: RegExp
  readonly ours?: RegExp
  readonly peer?: RegExp
  readonly reason: string
}

const documents = /XML|snapshot-/
const absent = /^$/

/** Every accepted difference to libvirtd 9.0, and why it is one. A row that no run needs any more is to be removed. */
export const knownDifferences: readonly KnownDifference[] = [
  {
    step: documents,
    field: /(\/address@|\/alias@)/,
    ours: absent,
    reason: 'places on buses that nobody stated, and names for them, are left to QEMU; stated ones are kept',
  },
  {
    step: documents,
    field: /devices\/controller\[\d+\][@/]/,
    ours: absent,
    reason: 'PCIe ports for places that nobody stated are not written into the definition',
  },
  {
    step: documents,
    field: /^(domain\/|inactiveDomain\/)?(resource\/partition|seclabel[@/])/,
    ours: absent,
    reason: 'no cgroup partition and no security driver: QEMU runs as a user of its own, in its own sandbox',
  },
  {
    step: documents,
    field: /^(domain\/)?cpu(@check|\/feature)/,
    reason: 'the CPU that QEMU made of the model is not read back, so nothing is said about its features',
  },
  {
    step: /snapshot-/,
    field: /^inactiveDomain[@/]/,
    ours: absent,
    reason: 'the definition for the next start at the time of a snapshot is in the log, not repeated in the snapshot',
  },
  {
    step: /snapshot-/,
    field: /graphics@port$/,
    peer: /^-1$/,
    reason: 'the definition kept with a snapshot is the one that ran, its port included',
  },
  {
    step: /next start/,
    field: /devices\/disk(\[\d+\])?\/backingStore/,
    ours: absent,
    reason: 'after a snapshot or a job the chain for the next start is the recorded one, verified before use',
  },
  {
    step: /while a job is ready/,
    field: /^devices\/disk\/mirror[@/]/,
    ours: absent,
    reason: 'a job is shown by its own calls and views, not inside the definition',
  },
  {
    step: /^nodeinfo$/,
    field: /^Memory size$/,
    reason: 'libvirtd adds up what NUMA nodes had at boot, without memory that was plugged in later',
  },
  {
    step: /^capabilities$/,
    field: /cpus\/cpu(\[\d+\])?@cluster_id$/,
    peer: absent,
    reason: 'later versions of libvirt say which cluster of its die a CPU is in, as we do',
  },
  {
    step: /^capabilities: guests$/,
    field: /^(avr|hppa|loongarch64|nios2|or1k|rx|tricore) /,
    peer: absent,
    reason: 'every emulator that answers can be used, also those that libvirtd does not know or cannot probe',
  },
  {
    step: /^capabilities: guests$/,
    field: /^(armv6l|ppc64le) /,
    ours: absent,
    reason: 'an architecture is listed under the name that its emulator gives itself',
  },
  {
    step: /^capabilities: guests$/,
    field: /^ppc64 emulator$/,
    reason: 'two names of one binary',
  },
  {
    step: /^capabilities: guests$/,
    field: /^sh4eb word size$/,
    ours: /^32$/,
    reason: 'SH-4 has 32 bits',
  },
  {
    step: /^domcapabilities/,
    field: /devices\/(disk|rng|graphics|video)\/enum/,
    reason: 'only what can be defined here is offered: no SCSI passthrough, no entropy daemon, no display but VNC',
  },
  {
    step: /^figures of a domain that is off$/,
    field: /block\.\d+\.capacity/,
    ours: absent,
    reason: 'figures are last samples; an image is not opened for them while no guest uses it',
  },
  {
    step: /^figures of a running domain$/,
    field: /vcpu\.\d+\.(state|time)/,
    ours: absent,
    reason: 'figures of single vCPUs are not sampled yet',
  },
  {
    step: /^info of a running domain$/,
    field: /^Messages$/,
    peer: /elevated privileges/,
    reason: 'here libvirtd runs QEMU as root, we never do',
  },
  {
    step: /^the slow pull runs$/,
    field: /^(Bandwidth limit|line 1)$/,
    reason: 'the speed limit of a job is obeyed, but not read back from QEMU yet',
  },
  {
    step: /^python3-libvirt$/,
    field: /: error domain$/,
    reason: 'which part of a daemon refuses is its own affair; clients decide by the code, which is the same',
  },
  {
    step: /^python3-libvirt$/,
    field: /^max vCPUs$/,
    peer: /^16$/,
    reason: 'libvirtd has a constant for emulated guests, we say what the emulator says',
  },
]
