import type { CacheBank } from '../conf/host-document.ts'
import { type HostFiles, numberedEntries, readNumber } from './host-files.ts'
import { parseCpuList } from './parse-cpu-list.ts'

const cpuDirectory = '/sys/devices/system/cpu'
/** First-level caches are of one core each: nobody divides them, and they would be most of the list. */
const lowestLevel = 2

const kinds: Readonly<Record<string, CacheBank['kind']>> = { Unified: 'both', Instruction: 'code', Data: 'data' }
const scales: Readonly<Record<string, bigint>> = { '': 1n, K: 1024n, M: 1024n ** 2n, G: 1024n ** 3n }

/** The caches that CPUs share, by level and number; how they can be divided is another part's to tell. */
export function readCacheBanks(files: HostFiles): readonly CacheBank[] {
  const found = new Map<string, CacheBank>()
  for (const cpu of parseCpuList(files.read(`${cpuDirectory}/online`) ?? '0')) {
    const directory = `${cpuDirectory}/cpu${cpu}/cache`
    for (const index of numberedEntries(files, { directory, prefix: 'index' })) {
      const bank = readBank(files, `${directory}/index${index}`)
      if (bank !== null) found.set(`${bank.level} ${bank.kind} ${bank.id}`, bank)
    }
  }
  return [...found.values()].toSorted((a, b) => a.level - b.level || a.id - b.id || a.kind.localeCompare(b.kind))
}

function readBank(files: HostFiles, directory: string): CacheBank | null {
  const level = readNumber(files, `${directory}/level`)
  if (level === null || level < lowestLevel) return null
  const id = readNumber(files, `${directory}/id`)
  const kind = kinds[files.read(`${directory}/type`)?.trim() ?? '']
  const size = /^(\d+)([KMG]?)$/.exec(files.read(`${directory}/size`)?.trim() ?? '')
  if (id === null || kind === undefined || size === null) return null
  const sizeBytes = BigInt(size[1] ?? 0) * (scales[size[2] ?? ''] ?? 1n)
  const cpus = files.read(`${directory}/shared_cpu_list`)?.trim() ?? ''
  return { id, level, kind, sizeBytes, cpus, controls: [] }
}
