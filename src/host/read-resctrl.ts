import type { BandwidthNode, CacheBank, CacheControl, ResourceMonitor } from '../conf/host-document.ts'
import { type HostFiles, readNumber } from './host-files.ts'

const directory = '/sys/fs/resctrl'

/** Names of a cache's resources in resctrl: with code and data prioritisation there are two. */
const resources = [
  { suffix: '', kind: 'both' },
  { suffix: 'CODE', kind: 'code' },
  { suffix: 'DATA', kind: 'data' },
] as const satisfies readonly { readonly suffix: string; readonly kind: CacheControl['kind'] }[]

/** How a cache can be divided among guests; nothing where resctrl is not mounted or the cache cannot be divided. */
export function readCacheControls(files: HostFiles, bank: CacheBank): readonly CacheControl[] {
  return resources.flatMap(({ suffix, kind }) => {
    const info = `${directory}/info/L${bank.level}${suffix}`
    const mask = files.read(`${info}/cbm_mask`)?.trim() ?? ''
    const maxAllocations = readNumber(files, `${info}/num_closids`)
    if (!/^[0-9a-f]+$/i.test(mask) || maxAllocations === null) return []
    const bits = BigInt(BigInt(`0x${mask}`).toString(2).replaceAll('0', '').length)
    if (bits === 0n) return []
    const granularityBytes = bank.sizeBytes / bits
    const least = BigInt(readNumber(files, `${info}/min_cbm_bits`) ?? 1)
    const min = least > 1n ? { minBytes: granularityBytes * least } : {}
    return [{ kind, granularityBytes, ...min, maxAllocations }]
  })
}

/** What can be measured of the last-level cache; null where nothing can. */
export function readCacheMonitor(files: HostFiles): ResourceMonitor | null {
  const monitor = readMonitor(files, 'llc_')
  if (monitor === null) return null
  const threshold = readNumber(files, `${directory}/info/L3_MON/max_threshold_occupancy`)
  return { level: 3, ...(threshold === null ? {} : { reuseThresholdBytes: BigInt(threshold) }), ...monitor }
}

/** What can be measured of the memory bandwidth; null where nothing can. */
export function readBandwidthMonitor(files: HostFiles): ResourceMonitor | null {
  return readMonitor(files, 'mbm_')
}

/** The nodes whose memory bandwidth can be limited: those of the last-level caches. */
export function readMemoryBandwidth(files: HostFiles, banks: readonly CacheBank[]): readonly BandwidthNode[] {
  const info = `${directory}/info/MB`
  const granularity = readNumber(files, `${info}/bandwidth_gran`)
  const min = readNumber(files, `${info}/min_bandwidth`)
  const maxAllocations = readNumber(files, `${info}/num_closids`)
  if (granularity === null || min === null || maxAllocations === null) return []
  const last = Math.max(...banks.map(({ level }) => level))
  return banks
    .filter(({ level }) => level === last)
    .map(({ id, cpus }) => ({ id, cpus, granularity, min, maxAllocations }))
}

function readMonitor(files: HostFiles, prefix: string): Pick<ResourceMonitor, 'maxMonitors' | 'features'> | null {
  const info = `${directory}/info/L3_MON`
  const maxMonitors = readNumber(files, `${info}/num_rmids`)
  const listed = (files.read(`${info}/mon_features`) ?? '').split('\n').map((name) => name.trim())
  const features = listed.filter((name) => name.startsWith(prefix))
  return maxMonitors === null || features.length === 0 ? null : { maxMonitors, features }
}
