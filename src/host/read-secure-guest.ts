import type { ReadHostText } from './read-host-text.ts'

/** Kernel parameters and files that say what the host has for guests whose memory it cannot read. */
const parameters = [
  ['kvm_amd.sev', '/sys/module/kvm_amd/parameters/sev'],
  ['kvm_amd.sev_es', '/sys/module/kvm_amd/parameters/sev_es'],
  ['kvm_amd.sev_snp', '/sys/module/kvm_amd/parameters/sev_snp'],
  ['kvm_intel.tdx', '/sys/module/kvm_intel/parameters/tdx'],
  ['prot_virt_host', '/sys/firmware/uv/prot_virt_host'],
] as const
const present = ['/dev/sev', '/sys/firmware/uv'] as const

/** What the host has for secure guests, in words; `none` where it has nothing of it. */
export function readSecureGuest(host: {
  readonly read: ReadHostText
  readonly exists: (path: string) => boolean
}): string {
  const values = parameters.flatMap(([name, path]) => {
    const value = host.read(path)?.trim()
    return value === undefined ? [] : [`${name}=${value}`]
  })
  const found = [...values, ...present.filter((path) => host.exists(path))]
  return found.length === 0 ? 'none' : found.join(', ')
}
