import type { HostFacts } from '../driver/host-facts.ts'

/** What a capability version depends on of the host that its emulator was probed on. */
export type ProbedHost = Pick<
  HostFacts,
  'kernel' | 'cpu' | 'microcode' | 'nestedKvm' | 'cpuid' | 'secureGuest' | 'firmware' | 'kvmUsable'
>

/** The same host, each of whose facts is read at its first use and then stays: for work that has no waits. */
export function readOnce(host: ProbedHost): ProbedHost {
  return {
    kernel: once(() => host.kernel()),
    cpu: once(() => host.cpu()),
    microcode: once(() => host.microcode()),
    nestedKvm: once(() => host.nestedKvm()),
    cpuid: once(() => host.cpuid()),
    secureGuest: once(() => host.secureGuest()),
    firmware: once(() => host.firmware()),
    kvmUsable: once(() => host.kvmUsable()),
  }
}

function once<T>(read: () => T): () => T {
  let known: { readonly value: T } | null = null
  return () => {
    known ??= { value: read() }
    return known.value
  }
}
