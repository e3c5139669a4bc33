import type { HostCpu } from '../driver/host-facts.ts'
import type { ReadHostText } from './read-host-text.ts'

// The kernel makes the text of a CPU when it is read: on a machine of 512 the whole costs milliseconds, its start does not.
const oneCpuBytes = 8192

/** For each member the names it has in /proc/cpuinfo, by architecture; the first that is present counts. */
const fieldNames: Readonly<Record<keyof HostCpu, readonly string[]>> = {
  vendor: ['vendor_id', 'CPU implementer', 'mvendorid'],
  name: ['model name', 'cpu', 'Model Name', 'uarch', 'isa'],
  family: ['cpu family', 'CPU architecture', 'CPU Family'],
  model: ['model', 'CPU part', 'marchid'],
  stepping: ['stepping', 'CPU revision', 'revision', 'mimpid'],
}

/**
 * The first CPU of /proc/cpuinfo. Only what tells CPU models apart is kept: the rest (frequency, microcode, flags that depend on
 * the kernel) has facts of its own or varies from one CPU to the next.
 */
export function readHostCpu(read: ReadHostText): HostCpu {
  const fields = firstCpu(read('/proc/cpuinfo', oneCpuBytes) ?? '')
  const value = (member: keyof HostCpu): string => {
    return fieldNames[member].map((name) => fields.get(name)).find((text) => text !== undefined) ?? ''
  }
  return {
    vendor: value('vendor'),
    name: value('name'),
    family: value('family'),
    model: value('model'),
    stepping: value('stepping'),
  }
}

/** The first "microcode" line of /proc/cpuinfo. */
export function readMicrocode(read: ReadHostText): string | null {
  return firstCpu(read('/proc/cpuinfo', oneCpuBytes) ?? '').get('microcode') ?? null
}

/** First "cpu MHz" of /proc/cpuinfo, whole; 0 where it is not stated. */
export function readCpuMhz(read: ReadHostText): number {
  const text =
    firstCpu(read('/proc/cpuinfo', oneCpuBytes) ?? '').get('cpu MHz') ??
    read('/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq')
  if (text === null) return 0
  const value = Number.parseFloat(text)
  if (!Number.isFinite(value)) return 0
  return Math.trunc(text.includes('.') ? value : value / 1000)
}

// The first block and what stands outside of any block (s390 prints its vendor once, in a block without a processor number).
function firstCpu(cpuinfo: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>()
  for (const line of cpuinfo.split('\n')) {
    const colon = line.indexOf(':')
    if (colon === -1) continue
    const name = line.slice(0, colon).trim()
    if (!fields.has(name)) fields.set(name, line.slice(colon + 1).trim())
  }
  return fields
}
