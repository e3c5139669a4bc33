import type { HostCpuFacts } from '../conf/describe-guest-cpu.ts'
import type { HostDocument } from '../conf/host-document.ts'

/** The host as clients are told of it; each call reads what it needs and no more. */
export interface DescribedHost {
  /** Every part of the host's capabilities. */
  document(): HostDocument
  /** What domain capabilities need of the host's CPU. */
  cpu(): HostCpuFacts
}
