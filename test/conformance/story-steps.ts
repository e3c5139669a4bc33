import { refused, type Step, step, virsh, virshXml } from './step.ts'
import { storyUuid } from './story-definitions.ts'

const state = (at: string, says: RegExp): Step => virsh('domstate story --reason', { name: `state: ${at}`, says })

const host: readonly Step[] = [
  virsh('version', { says: /Running hypervisor: QEMU 7\.2/ }),
  virsh('uri', { says: /qemu\+unix:\/\/\/system/ }),
  virsh('hostname', { says: /^\S+\n/ }),
  virsh('nodeinfo', { says: /CPU model: +x86_64/ }),
  virsh('capabilities', {
    shown: { as: 'elements', paths: ['host/cpu/arch', 'host/cpu/topology', 'host/topology/cells'] },
    says: /<arch name='x86_64'>/,
  }),
  virsh('capabilities', { name: 'capabilities: guests', shown: { as: 'guests' } }),
  virsh('domcapabilities', {
    shown: { as: 'elements', paths: ['path', 'domain', 'machine', 'arch', 'vcpu', 'devices/disk', 'devices/rng'] },
    says: /<domainCapabilities>/,
  }),
  virsh('domcapabilities --virttype qemu --machine q35', {
    shown: { as: 'elements', paths: ['path', 'domain', 'machine', 'arch', 'devices/graphics', 'devices/video'] },
    says: /<machine>pc-q35-7\.2<\/machine>/,
  }),
  refused('domcapabilities --arch nothing'),
]

const definitions: readonly Step[] = [
  virsh('define {dir}/story.xml', { says: /Domain 'story' defined/ }),
  refused('define {dir}/same-name.xml'),
  refused('define {dir}/same-uuid.xml'),
  refused('define {dir}/malformed.xml'),
  refused('define {dir}/two-roots.xml'),
  refused('define {dir}/nameless.xml'),
  refused('define {dir}/no-type.xml'),
  refused('define {dir}/bad-disk.xml'),
  refused('define {dir}/no-emulator.xml'),
  virsh('define {dir}/story.xml', { name: 'define the same again', says: /Domain 'story' defined/ }),
  ...['digits', 'host-model', 'host-passthrough', 'custom-cpu', 'missing-disk'].map((name) =>
    virsh(`define {dir}/${name}.xml`),
  ),
  virsh('list --all', { name: 'list after define', says: /007[^]*story +shut off/ }),
  virsh('list --inactive --name', { says: /^story$/m }),
  virshXml('dumpxml story', 'XML before the first start'),
  virshXml('dumpxml 007', 'XML of digits'),
  virshXml('dumpxml host-model', 'XML of host-model'),
  virshXml('dumpxml host-passthrough', 'XML of host-passthrough'),
  virshXml('dumpxml custom-cpu', 'XML of custom-cpu'),
  virsh('dominfo story', { name: 'info before the first start', says: /Persistent: +yes/ }),
  state('defined', /^shut off/),
  virsh('domuuid story', { says: new RegExp(storyUuid) }),
  virsh(`domname ${storyUuid}`, { name: 'domname UUID', says: /^story$/m }),
  virsh('domid story', { name: 'id of a domain that is off', says: /^-$/m }),
  virsh('autostart story'),
  virsh('dominfo story', { name: 'info with autostart', says: /Autostart: +enable/ }),
  virsh('autostart story --disable'),
  virsh('domblklist story --details', { name: 'disks of a domain that is off', says: /vda +\S+\/system\.qcow2/ }),
  virsh('domblkinfo story vda', { name: 'size of a disk that is off', says: /Capacity: +67108864/ }),
  virsh('domstats story --state --block --balloon --vcpu', {
    name: 'figures of a domain that is off',
    shown: { as: 'lines', like: /state|count|name|path|capacity|maximum|balloon.current|vcpu.current/ },
  }),
  refused('start missing-disk'),
  refused('dominfo nothing'),
  refused('destroy story', 'destroy a domain that is off (refused)'),
  refused('suspend story', 'suspend a domain that is off (refused)'),
]

const life: readonly Step[] = [
  virsh('start story', { says: /Domain 'story' started/ }),
  refused('start story', 'start again (refused)'),
  refused('define {dir}/same-uuid.xml', 'define with the UUID of a running domain (refused)'),
  virsh('list', { says: /story +running/ }),
  virsh('domid story', { name: 'id of a running domain', says: /^\d+$/m }),
  virsh('dominfo story', { name: 'info of a running domain', says: /State: +running/ }),
  state('started', /^running \(booted\)/),
  virshXml('dumpxml story', 'XML of a running domain'),
  virshXml('dumpxml story --inactive', 'XML for the next start'),
  virsh('domblklist story --details', { name: 'disks of a running domain' }),
  virsh('domblkinfo story vda', { name: 'size of a disk in use', says: /Capacity: +67108864/ }),
  virsh('domblkinfo story --all', { says: /vdc +8388608/ }),
  virsh('domstats story --state --block --balloon --vcpu', {
    name: 'figures of a running domain',
    says: /state\.state=1/,
    shown: {
      as: 'lines',
      like: /state\.|count|name|path|capacity|(rd|wr|fl)\.|maximum|balloon\.current|vcpu\.current|vcpu\.\d+\.(state|time)=/,
    },
  }),
  virsh('suspend story', { says: /suspended/ }),
  state('suspended', /^paused \(user\)/),
  refused('suspend nothing', 'suspend an unknown domain (refused)'),
  virsh('resume story', { says: /resumed/ }),
  state('resumed', /^running \(unpaused\)/),
  step('the guest writes', { kind: 'guest writes', image: '{dir}/system.qcow2' }),
  virsh('reset story', { says: /was reset/ }),
  state('reset', /^running/),
  step('the guest writes after its reset', { kind: 'guest writes', image: '{dir}/system.qcow2' }),
  virsh('shutdown story', { says: /is being shutdown/ }),
  step('the guest shuts down', { kind: 'until', words: 'domstate story --reason', matches: /^shut off \(shutdown\)/ }),
  step('no completed write is lost', { kind: 'verify writes', image: '{dir}/system.qcow2' }),
  virsh('start story --paused', { says: /started/ }),
  state('started paused', /^paused/),
  virsh('resume story', { name: 'resume after a paused start' }),
  state('resumed after a paused start', /^running/),
  virsh('destroy story', { says: /destroyed/ }),
  state('destroyed', /^shut off \(destroyed\)/),
]

const snapshots: readonly Step[] = [
  refused('snapshot-current story --name', 'no current snapshot (refused)'),
  virsh('snapshot-list story', { name: 'no snapshots' }),
  virsh('start story', { name: 'start for snapshots' }),
  step('the guest writes before the snapshots', { kind: 'guest writes', image: '{dir}/system.qcow2' }),
  virsh(
    'snapshot-create-as story one first --disk-only --diskspec vda,file={dir}/one.qcow2 --diskspec vdb,snapshot=no --diskspec vdc,snapshot=no',
    { name: 'snapshot of one disk', says: /Domain snapshot one created/ },
  ),
  virsh('domblklist story --details', { name: 'disks after one snapshot', says: /vda +\S+\/one\.qcow2/ }),
  step('the guest writes to the overlay', { kind: 'guest writes', image: '{dir}/one.qcow2' }),
  virsh('snapshot-create-as story two --disk-only --atomic --diskspec vdc,snapshot=no', {
    name: 'snapshot of several disks',
    says: /Domain snapshot two created/,
  }),
  virsh('domblklist story --details', { name: 'disks after two snapshots', says: /vdb +\S+\/data\.two/ }),
  refused('snapshot-create-as story one --disk-only', 'a second snapshot of that name (refused)'),
  refused(
    'snapshot-create-as story three --disk-only --diskspec vda,file={dir}/base.qcow2 --diskspec vdb,snapshot=no --diskspec vdc,snapshot=no',
    'a snapshot over an existing image (refused)',
  ),
  refused(
    'snapshot-create-as story three --disk-only --diskspec vdz,snapshot=external',
    'a snapshot of an unknown disk (refused)',
  ),
  virsh('snapshot-list story', { says: /two +\S+ \S+ \S+ +disk-snapshot/ }),
  virsh('snapshot-list story --tree', { says: /one\n +\|\n +\+- two/ }),
  virsh('snapshot-list story --roots --name', { says: /^one$/m }),
  virsh('snapshot-current story --name', { says: /^two$/m }),
  virshXml('snapshot-current story'),
  virshXml('snapshot-dumpxml story one'),
  virsh('snapshot-info story one', { says: /Children: +1/ }),
  virsh('snapshot-info story --current', { says: /Parent: +one/ }),
  virsh('snapshot-parent story two', { says: /^one$/m }),
  refused('snapshot-dumpxml story nothing', 'an unknown snapshot (refused)'),
  virshXml('dumpxml story', 'XML with snapshots'),
  virshXml('dumpxml story --inactive', 'XML for the next start with snapshots'),
]

const jobs: readonly Step[] = [
  virsh('blockjob story vda --info', { name: 'no job', says: /No current block job/ }),
  refused('blockjob story vda --abort', 'abort without a job (refused)'),
  refused('blockcommit story vdc --active --pivot --wait', 'commit a disk without a chain (refused)'),
  refused('blockpull story vdz --wait', 'pull an unknown disk (refused)'),
  virsh('blockpull story vdb --bandwidth 1', { name: 'start a slow pull' }),
  virsh('blockjob story vdb --info', { name: 'the slow pull runs', says: /Block Pull: \[ *[\d.]+ %\]/ }),
  refused('blockcommit story vdb --active --wait', 'a second job on the same disk (refused)'),
  virsh('blockjob story vdb --abort', { name: 'abort the slow pull' }),
  virsh('blockjob story vdb --info', { name: 'the slow pull is gone', says: /No current block job/ }),
  virsh('blockpull story vdb --wait', { says: /Pull complete/ }),
  virshXml('dumpxml story', 'XML after the pull'),
  virsh('blockcommit story vda --active --shallow --wait', {
    name: 'commit up to READY',
    says: /Now in synchronized phase/,
  }),
  virsh('blockjob story vda --info', { name: 'a job that is ready', says: /Active Block Commit: \[100 %\]/ }),
  virshXml('dumpxml story', 'XML while a job is ready'),
  virsh('blockjob story vda --abort', { name: 'abort the ready commit' }),
  virsh('domblklist story --details', { name: 'disks after the abort', says: /vda +\S+\/one\.two/ }),
  virsh('blockcommit story vda --active --shallow --pivot --wait', {
    name: 'commit one layer',
    says: /Successfully pivoted/,
  }),
  virsh('domblklist story --details', { name: 'disks after committing one layer', says: /vda +\S+\/one\.qcow2/ }),
  virsh(
    'snapshot-create-as story three --disk-only --no-metadata --diskspec vda --diskspec vdb,snapshot=no --diskspec vdc,snapshot=no',
    { name: 'snapshot without metadata', says: /created/ },
  ),
  virsh('blockcommit story vda --base {dir}/system.qcow2 --top {dir}/one.qcow2 --wait', {
    name: 'commit a layer in the middle',
    says: /Commit complete/,
  }),
  virshXml('dumpxml story', 'XML after committing the middle'),
  virsh('blockcommit story vda --active --pivot --wait', { name: 'commit to the base', says: /Successfully pivoted/ }),
  virsh('domblklist story --details', { name: 'disks after committing to the base', says: /vda +\S+\/system\.qcow2/ }),
  virshXml('dumpxml story', 'XML after all jobs'),
  virshXml('dumpxml story --inactive', 'XML for the next start after all jobs'),
  step('the guest writes after all jobs', { kind: 'guest writes', image: '{dir}/system.qcow2' }),
]

const end: readonly Step[] = [
  virsh('destroy story', { name: 'destroy at the end' }),
  step('no write is lost in the jobs', { kind: 'verify writes', image: '{dir}/system.qcow2' }),
  refused('undefine story', 'undefine with snapshots (refused)'),
  virsh('snapshot-delete story one --metadata', { says: /snapshot one deleted/ }),
  virsh('snapshot-list story --tree', { name: 'the tree after a deletion', says: /^two$/m }),
  refused('snapshot-delete story nothing --metadata', 'delete an unknown snapshot (refused)'),
  virsh(
    'snapshot-create-as story off --disk-only --diskspec vda,file={dir}/off.qcow2 --diskspec vdb,snapshot=no --diskspec vdc,snapshot=no',
    { name: 'snapshot of a domain that is off', says: /created/ },
  ),
  virsh('domblklist story --details', { name: 'disks after a snapshot of a domain that is off', says: /off\.qcow2/ }),
  virsh('start story', { name: 'start on the overlay' }),
  virshXml('dumpxml story', 'XML on the overlay'),
  virsh('undefine story --snapshots-metadata', { name: 'undefine a running domain', says: /undefined/ }),
  virsh('dominfo story', {
    name: 'info of an undefined running domain',
    says: /Persistent: +no/,
    shown: { as: 'lines', like: /Persistent|State|Autostart/ },
  }),
  virsh('define {dir}/story.xml', { name: 'define a running domain again' }),
  virsh('destroy story', { name: 'destroy for good' }),
  virsh('undefine story --snapshots-metadata', { name: 'undefine for good' }),
  ...['007', 'host-model', 'host-passthrough', 'custom-cpu', 'missing-disk'].map((name) => virsh(`undefine ${name}`)),
  virsh('list --all', { name: 'nothing is left' }),
]

const connections: readonly Step[] = [
  step(
    'idle with keepalive, then reconnect',
    {
      kind: 'session',
      flags: '-k 1 -K 2',
      lines: ['hostname', 'idle', 'list --all', 'connect', 'domstate 007', 'quit'],
    },
    { says: /shut off/ },
  ),
  virsh('-r list --all', { name: 'read-only list' }),
  refused('-r destroy 007', 'read-only destroy (refused)'),
  step('an unknown procedure', { kind: 'raw call', call: 'unknown procedure' }, { says: /^39 / }),
  step('an unknown program', { kind: 'raw call', call: 'unknown program' }, { says: /^39 / }),
  step('a cut message', { kind: 'raw call', call: 'cut message' }, { says: /^39 / }),
]

const heard: readonly Step[] = ['lifecycle', 'reboot', 'block-job', 'block-job-2'].map((event) =>
  step(`heard: ${event}`, { kind: 'heard', event }),
)

/** Section by section, everything that unmodified clients must be able to do and see. */
export const storySteps: readonly Step[] = [
  ...host,
  ...definitions,
  ...connections,
  ...life,
  ...snapshots,
  ...jobs,
  ...end,
  step('python3-libvirt', { kind: 'python' }),
  ...heard,
]
