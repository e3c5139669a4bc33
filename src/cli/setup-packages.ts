/** How a package shows that it is there. Looked for on disk where that is enough: a check of all rows takes milliseconds. */
export type Presence =
  | { readonly kind: 'command'; readonly name: string }
  | { readonly kind: 'postgresql'; readonly oldestMajor: number }
  | { readonly kind: 'imports'; readonly command: readonly [string, ...string[]] }

/**
 * A row of the table of what this program takes from the distribution. `package` is Debian's and Ubuntu's name and
 * also the name by which tests ask for the tool; `fallbackPackage` is taken where a release has no package of that name.
 */
export type SetupPackage = {
  readonly package: string
  readonly set: 'runtime' | 'dev'
  readonly presence: Presence
  readonly neededFor: string
  readonly fallbackPackage?: string
}

/** The distribution's Python, whatever stands first in PATH: only that one sees Debian's python3-libvirt. */
export const systemPython = '/usr/bin/python3'

/** Every package that `npm run setup` installs: `runtime` always, `dev` with --dev or CI=true (tests, comparison, bench). */
export const setupPackages = [
  {
    package: 'qemu-system-x86',
    set: 'runtime',
    presence: { kind: 'command', name: 'qemu-system-x86_64' },
    neededFor: 'running domains (without it only the built-in test driver serves)',
  },
  {
    package: 'qemu-utils',
    set: 'runtime',
    presence: { kind: 'command', name: 'qemu-img' },
    neededFor: 'creating and converting disk images',
  },
  {
    package: 'libvirt-clients',
    set: 'runtime',
    presence: { kind: 'command', name: 'virsh' },
    neededFor: 'virsh, the command line client',
  },
  {
    package: 'python3-libvirt',
    set: 'runtime',
    presence: { kind: 'imports', command: [systemPython, '-c', 'import libvirt'] },
    neededFor: 'Python clients',
  },
  {
    package: 'libvirt-daemon-system',
    set: 'dev',
    presence: { kind: 'command', name: 'libvirtd' },
    neededFor: 'comparing answers and speed with libvirtd',
  },
  {
    package: 'qemu-system',
    set: 'dev',
    presence: { kind: 'command', name: 'qemu-system-aarch64' },
    neededFor: 'probing many emulators',
  },
  {
    package: 'postgresql-15',
    set: 'dev',
    presence: { kind: 'postgresql', oldestMajor: 15 },
    neededFor: 'running on a given PostgreSQL instead of the embedded one',
    fallbackPackage: 'postgresql',
  },
  {
    package: 'virtinst',
    set: 'dev',
    presence: { kind: 'command', name: 'virt-install' },
    neededFor: 'testing virt-install',
  },
  {
    package: 'libsys-virt-perl',
    set: 'dev',
    presence: { kind: 'imports', command: ['/usr/bin/perl', '-MSys::Virt', '-e', '1'] },
    neededFor: 'testing Perl clients',
  },
  {
    package: 'xvfb',
    set: 'dev',
    presence: { kind: 'command', name: 'Xvfb' },
    neededFor: 'testing graphical clients without a screen',
  },
  {
    package: 'xauth',
    set: 'dev',
    presence: { kind: 'command', name: 'xauth' },
    neededFor: 'testing graphical clients without a screen',
  },
  {
    package: 'strace',
    set: 'dev',
    presence: { kind: 'command', name: 'strace' },
    neededFor: 'failing system calls on purpose, counting opened files',
  },
] as const satisfies readonly SetupPackage[]

/** The names of the rows, for tests that ask for a tool by name. */
export type SetupPackageName = (typeof setupPackages)[number]['package']
