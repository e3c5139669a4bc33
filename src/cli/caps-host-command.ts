import { existsSync } from 'node:fs'
import { machine } from 'node:os'
import * as v from 'valibot'
import { localHostFiles } from '../host/host-files.ts'
import { readHostCpu, readMicrocode } from '../host/host-cpu.ts'
import { readHostTopology } from '../host/host-topology.ts'
import { readNestedKvm } from '../host/kvm-access.ts'
import { readNodeInfo } from '../host/node-info.ts'
import { readCacheBanks } from '../host/read-cache-banks.ts'
import { readHostText } from '../host/read-host-text.ts'
import { readBandwidthMonitor, readCacheControls, readCacheMonitor, readMemoryBandwidth } from '../host/read-resctrl.ts'
import { readSecureGuest } from '../host/read-secure-guest.ts'
import { CliError } from './cli-error.ts'
import { exitCode } from './exit-code.ts'
import type { Invocation } from './invocation.ts'
import { toJson, toned } from './output.ts'
import { formatFields } from './text-table.ts'

/** What each part of the host reads; no part reads what another is about. */
const parts = {
  cpu: () => ({
    arch: machine(),
    ...readHostCpu(readHostText),
    microcode: readMicrocode(readHostText),
    nestedKvm: readNestedKvm(readHostText),
  }),
  numa: () => ({ cells: readHostTopology(readHostText), memoryKib: readNodeInfo(readHostText, machine()).memoryKib }),
  cache: () => ({ banks: readCacheBanks(localHostFiles) }),
  resctrl: () => {
    const banks = readCacheBanks(localHostFiles)
    return {
      cacheMonitor: readCacheMonitor(localHostFiles),
      bandwidthMonitor: readBandwidthMonitor(localHostFiles),
      cacheControls: banks.flatMap((bank) => readCacheControls(localHostFiles, bank)),
      memoryBandwidth: readMemoryBandwidth(localHostFiles, banks),
    }
  },
  iommu: () => ({ groups: localHostFiles.list('/sys/kernel/iommu_groups').length }),
  security: () => ({
    secureGuest: readSecureGuest({ read: readHostText, exists: existsSync }),
    modules: readHostText('/sys/kernel/security/lsm')?.trim().split(',') ?? [],
  }),
} as const satisfies Readonly<Record<string, () => object>>

type Part = keyof typeof parts

const partNames = Object.keys(parts)
const isPart = (name: string): name is Part => Object.hasOwn(parts, name)
const optionsSchema = v.object({ part: v.optional(v.string()) })

/** `chronovisor caps host`: facts of this machine by independent parts; only the parts that are asked for are read. Needs no daemon. */
export async function capsHostCommand({ options, out }: Invocation): Promise<number> {
  const { part } = v.parse(optionsSchema, options)
  const wanted = part === undefined ? partNames : part.split(',')
  const unknown = wanted.filter((name) => !isPart(name))
  if (unknown.length > 0)
    throw new CliError(`Cannot read part "${unknown.join(',')}" of the host: known are ${partNames.join(', ')}`)
  const found = wanted.filter(isPart).map((name) => [name, parts[name]()] as const)
  if (out.isJson) out.document(Object.fromEntries(found))
  else
    for (const [name, facts] of found) {
      out.line(toned(out, 'heading', name))
      out.lines(formatFields(Object.entries(facts).map(([key, value]: [string, unknown]) => [`  ${key}`, told(value)])))
    }
  return exitCode.found
}

function told(value: unknown): string {
  if (value === null || (Array.isArray(value) && value.length === 0)) return 'none'
  const items: readonly unknown[] = Array.isArray(value) ? value : [value]
  return items.map((item) => (typeof item === 'string' ? item : toJson(item, { compact: true }))).join('\n')
}
