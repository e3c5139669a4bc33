import type { MonitoredBank, ThreadMonitor } from '../driver/host-facts.ts'
import { type HostFiles, readNumber } from './host-files.ts'

const resctrl = '/sys/fs/resctrl'
/** What stands beside the groups: the default group's own figures, what there is to divide, and groups that only measure. */
const noGroups: ReadonlySet<string> = new Set(['info', 'mon_data', 'mon_groups'])

/** QEMU names the thread of each virtual CPU so (`-name debug-threads=on`); under translation the last word is `TCG`. */
const vcpuThread = /^CPU (\d+)\/(?:KVM|TCG)$/

/**
 * What resctrl measures of a process by virtual CPU: one monitor for each group, whoever made it, that holds some of its threads; none where resctrl is not
 * mounted. The default group holds everything that is in no other, so it tells nothing of a domain.
 */
export function readThreadMonitors(files: HostFiles, pid: number): readonly ThreadMonitor[] {
  if (files.list(`${resctrl}/info`).length === 0) return []
  const groups = groupsOf(files)
  if (groups.length === 0) return []
  const vcpus = vcpusOf(files, pid)
  return groups.flatMap(({ name, directory }) => {
    const found = idsIn(files.read(`${directory}/tasks`)).flatMap((thread) => vcpus.get(thread) ?? [])
    if (found.length === 0) return []
    return [{ name, vcpus: found.toSorted((a, b) => a - b), banks: banksOf(files, directory) }]
  })
}

interface Group {
  readonly name: string
  readonly directory: string
}

/** Groups that divide, each with those that measure parts of it. */
function groupsOf(files: HostFiles): readonly Group[] {
  const named = (directory: string): readonly Group[] =>
    files
      .list(directory)
      .filter((name) => !noGroups.has(name) && files.list(`${directory}/${name}/mon_data`).length > 0)
      .map((name) => ({ name, directory: `${directory}/${name}` }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const dividing = named(resctrl)
  const measuring = [resctrl, ...dividing.map(({ directory }) => directory)]
  return [...dividing, ...measuring.flatMap((directory) => named(`${directory}/mon_groups`))]
}

function vcpusOf(files: HostFiles, pid: number): ReadonlyMap<number, number> {
  const threads = files.list(`/proc/${pid}/task`).map(Number)
  return new Map(
    threads.flatMap((thread): [number, number][] => {
      const vcpu = vcpuThread.exec(files.read(`/proc/${pid}/task/${thread}/comm`)?.trim() ?? '')?.[1]
      return vcpu === undefined ? [] : [[thread, Number(vcpu)]]
    }),
  )
}

function idsIn(tasks: string | null): readonly number[] {
  return (tasks ?? '').split('\n').filter(Boolean).map(Number)
}

/** Figures by last-level cache, `mon_L3_01` being that with number 1; a figure that the kernel does not give now is null. */
function banksOf(files: HostFiles, directory: string): readonly MonitoredBank[] {
  return files
    .list(`${directory}/mon_data`)
    .flatMap((name) => {
      const id = /^mon_L3_(\d+)$/.exec(name)?.[1]
      if (id === undefined) return []
      const figure = (file: string): bigint | null => {
        const value = readNumber(files, `${directory}/mon_data/${name}/${file}`)
        return value === null ? null : BigInt(value)
      }
      const [occupancyBytes, localBytes, totalBytes] = ['llc_occupancy', 'mbm_local_bytes', 'mbm_total_bytes'].map(
        figure,
      )
      return [
        {
          id: Number(id),
          occupancyBytes: occupancyBytes ?? null,
          localBytes: localBytes ?? null,
          totalBytes: totalBytes ?? null,
        },
      ]
    })
    .toSorted((a, b) => a.id - b.id)
}
