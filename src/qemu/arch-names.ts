/** libvirt's name of a guest architecture where QEMU's is another. */
export const archNames: Readonly<Record<string, string>> = { i386: 'i686', arm: 'armv7l', or32: 'or1k' }
